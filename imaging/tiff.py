"""The first image of a TIFF file: its size, and whether it is of a kind that is decoded (TIFF 6.0)."""

import struct

from imaging.errors import UnsupportedError

WIDTH, HEIGHT, COMPRESSION = 256, 257, 259
COMPRESSIONS = {1, 2, 3, 4, 5, 7, 8, 32773, 32946}
"""None, CCITT, LZW, JPEG, Deflate and PackBits: those that programs write without being asked for another one."""
_TYPES = {3: "H", 4: "I", 16: "Q"}


def size_of(body: bytes) -> tuple[int, int]:
    """Returns width and height. Raises UnsupportedError for another compression, struct.error or ValueError."""
    tags = _tags(body)
    if tags.get(COMPRESSION, 1) not in COMPRESSIONS:
        raise UnsupportedError(
            f"the TIFF file has compression {tags[COMPRESSION]}: save it uncompressed, with LZW or with Deflate"
        )
    try:
        return tags[WIDTH], tags[HEIGHT]
    except KeyError as error:
        raise ValueError(f"no tag {error}") from error


def _tags(body: bytes) -> dict[int, int]:
    """Returns the first value of those tags above that the first directory has."""
    order = "<" if body[:2] == b"II" else ">"
    big = body[2:4] in (b"+\0", b"\0+")
    (start,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", body, 8 if big else 4)
    (count,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", body, start)
    first, step, value = (start + 8, 20, 12) if big else (start + 2, 12, 8)
    tags: dict[int, int] = {}
    for entry in range(first, min(first + count * step, len(body)), step):
        tag, kind = struct.unpack_from(f"{order}HH", body, entry)
        if tag in (WIDTH, HEIGHT, COMPRESSION) and kind in _TYPES:
            (tags[tag],) = struct.unpack_from(order + _TYPES[kind], body, entry + value)
        if tag > COMPRESSION:  # they are in ascending order
            break
    return tags
