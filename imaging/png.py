"""The chunks of a PNG file (ISO 15948): those that a picture needs are kept, and no other reaches a decoder."""

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from imaging.errors import DamagedError, TooCostlyError

MOST_CHUNKS, CHUNK_BYTES = 1_000, 4096
"""Most chunks, and one more for so many bytes. Encoders write one for each 8 kB or more; a decoder takes microseconds
for each, however empty."""
SIMPLE_CHUNKS: Final = 64
"""Most chunks of a file that is decoded at once."""
LARGEST_PROFILE: Final = 4 * 2**20
"""Most bytes of an ICC profile, inflated."""

_SIGNATURE = 8
_CRITICAL = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
_USEFUL = {b"tRNS", b"eXIf"}
_GREY, _RGB, _PALETTE = 0, 2, 3
_TRANSPARENCY_BYTES = {_GREY: 2, _RGB: 6, _PALETTE: 1}


@dataclass(frozen=True)
class Survey:
    """What the chunks of a file say."""

    chunks: int
    """Chunks up to the end of the image."""
    kept: list[slice]
    """The parts of the file that make the image."""
    profile: bytes | None
    """The ICC profile."""
    depth: int
    """Bits a channel."""
    transparent: tuple[int, ...] | None
    """The grey level, or the colour, that is transparent, at the file's depth."""

    def clean(self, body: bytes) -> bytes:
        """Returns the file without what the image does not need."""
        if len(self.kept) == 1 and self.kept[0] == slice(0, len(body)):
            return body
        view = memoryview(body)
        return b"".join(view[part] for part in self.kept)


def survey(body: bytes) -> Survey:
    """Reads all chunk headers, which takes milliseconds. What the image does not need may be damaged.

    Raises TooCostlyError for too many chunks, DamagedError for a palette image without a palette.
    """
    depth, colours = body[24:26] if len(body) >= 26 else (8, _RGB)
    at, chunks, kept = _SIGNATURE, 0, [slice(0, _SIGNATURE)]
    most = MOST_CHUNKS + len(body) // CHUNK_BYTES
    profile, profiles, transparent, palette = None, 0, None, False
    while at + 8 <= len(body):
        length, kind = struct.unpack_from(">I4s", body, at)
        end, chunks = at + length + 12, chunks + 1
        if chunks > most:
            raise TooCostlyError(
                f"the PNG has more than {most:,} chunks, so that decoding takes too long: save it again"
            )
        palette = palette or kind == b"PLTE"
        if kind == b"IDAT" and colours == _PALETTE and not palette:
            raise DamagedError("the PNG has a palette's numbers but no palette (PLTE): save it again")
        if kind == b"iCCP" and not profiles:
            profiles += 1  # of many, each may be a bomb
            profile = _inflate(body[at + 8 : end - 4]) if _sound(body, at, end) else None
        wanted = kind in _CRITICAL or (kind in _USEFUL and _sound(body, at, end))
        if wanted and kind == b"tRNS":
            wanted = length >= _TRANSPARENCY_BYTES.get(colours, 2**31)
            if wanted and colours != _PALETTE:
                transparent = struct.unpack_from(">H" if colours == _GREY else ">HHH", body, at + 8)
        if wanted:
            _keep(kept, at, end)
        at = end
        if kind == b"IEND":
            break
    return Survey(chunks, [slice(p.start, min(p.stop, len(body))) for p in kept], profile, depth, transparent)


def _keep(kept: list[slice], start: int, stop: int) -> None:
    if kept[-1].stop == start:
        kept[-1] = slice(kept[-1].start, stop)
    else:
        kept.append(slice(start, stop))


def _sound(body: bytes, start: int, stop: int) -> bool:
    """Whether a chunk is there and its checksum right."""
    return stop <= len(body) and zlib.crc32(memoryview(body)[start + 4 : stop - 4]) == int.from_bytes(
        body[stop - 4 : stop]
    )


def _inflate(content: bytes) -> bytes | None:
    """Returns the profile of an iCCP chunk: a name, a zero, the method and compressed data. None for a broken one."""
    _, _, packed = content.partition(b"\0")
    try:
        return zlib.decompressobj().decompress(packed[1:], LARGEST_PROFILE) or None
    except zlib.error:
        return None
