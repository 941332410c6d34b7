"""The size of an image, from a few bytes of its file: before any decoder, however careful, sees the file."""

import re
import struct
from collections.abc import Callable
from typing import Final

from imaging import jpeg, tiff
from imaging.errors import DamagedError, TooLargeError, UnsupportedError
from imaging.formats import FileFormat

LONGEST_SIDE: Final = 65_535
"""Longest side, in pixels: JPEG's own limit. Work on an image of a million rows of one pixel is all overhead."""
_HEAD_BYTES = 2**20
"""Part of an AVIF file in which its size is looked for."""
_RUN_LENGTHS = (1, 2)
"""Compressions of BMP."""
_AVIF_SIZE = re.compile(rb"ispe\0{4}(.{8})", re.DOTALL)

Size = tuple[int, int]


def size_of(body: bytes, kind: FileFormat) -> Size:
    """Returns width and height as stored, before the EXIF orientation. Raises DamagedError or UnsupportedError."""
    try:
        return _READERS[kind](body)
    except (struct.error, IndexError, ValueError, OverflowError) as error:  # the last of a place beyond 2**63
        raise DamagedError(f"the {kind} file ends before it tells the image's size: send the whole file") from error


def check_size(size: Size, max_pixels: int) -> None:
    """Raises TooLargeError for more than `max_pixels`, or a side above LONGEST_SIDE; DamagedError for an empty one."""
    width, height = size
    if min(size) < 1:
        raise DamagedError(f"the image is {width}x{height}: it has no pixels")
    if width * height > max_pixels:
        reason = f"the image is {width}x{height}, but at most {max_pixels:,} pixels are allowed: send a smaller image"
        raise TooLargeError(reason)
    if max(size) > LONGEST_SIDE:
        raise TooLargeError(
            f"the image is {width}x{height}, but a side has at most {LONGEST_SIDE:,} pixels: send a part of it"
        )


def _png(body: bytes) -> Size:
    width, height = struct.unpack_from(">II", body, 16)
    return width, height


def _gif(body: bytes) -> Size:
    width, height = struct.unpack_from("<HH", body, 6)
    return width, height


def _bmp(body: bytes) -> Size:
    (header,) = struct.unpack_from("<I", body, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", body, 18)
    if header >= 40 and struct.unpack_from("<I", body, 30)[0] in _RUN_LENGTHS:  # decoded at two million pixels a second
        raise UnsupportedError("the BMP file has run-length codes: save it uncompressed, or as PNG")
    return abs(width), abs(height)


def _webp(body: bytes) -> Size:
    kind = body[12:16]
    if kind == b"VP8X":
        return _uint24(body, 24) + 1, _uint24(body, 27) + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", body, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", body, 26)
    return width & 0x3FFF, height & 0x3FFF


def _uint24(body: bytes, at: int) -> int:
    low, high = struct.unpack_from("<HB", body, at)
    return low | high << 16


def _avif(body: bytes) -> Size:
    """The largest size that is named: those of an image's tiles and of its alpha are no larger than its own."""
    sizes = [struct.unpack(">II", found) for found in _AVIF_SIZE.findall(body, 0, _HEAD_BYTES)]
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return width, height


_READERS: dict[FileFormat, Callable[[bytes], Size]] = {
    "JPEG": jpeg.size_of,
    "PNG": _png,
    "WEBP": _webp,
    "GIF": _gif,
    "BMP": _bmp,
    "TIFF": tiff.size_of,
    "AVIF": _avif,
}
