"""The markers of a JPEG file (ITU T.81): what decoding it will cost, and how much of it is there."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from imaging.errors import DamagedError, TooCostlyError, UnsupportedError

MOST_SCANS: Final = 64
"""Most scans: encoders write about ten. Each goes over all pixels, however few bytes it has."""
MOST_SEGMENTS: Final = 2000
"""Most marker segments. Profiles and notes of cameras take up to a few hundred, tables up to four a scan."""
MISSING_SHARE: Final = 1 / 8
"""Largest part of the rows that may be missing at the end."""
MISSING_LEVEL: Final = 128
"""What libjpeg fills missing pixels with."""
COEFFICIENTS: Final = 64
END: Final = b"\xff\xd9"

_EOI, _SOS, _APP2 = 0xD9, 0xDA, 0xE2
_ALONE = frozenset({0x00, 0x01, 0xFF, *range(0xD0, 0xD9)})
"""What follows 0xFF without a segment: fill bytes, restart markers, and an image's start."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xCA})
_DECODED_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""The first marker behind a scan's data, in which 0xFF is followed by a zero or is a restart marker."""


@dataclass(frozen=True)
class Survey:
    """What the markers of a file say."""

    scans: int
    """Scans that begin."""
    huffman: bool
    """Whether it has Huffman codes, as nearly all have; arithmetic ones are slow."""
    profile_bytes: int
    """Size of the ICC profile."""
    whole: bool
    """Whether the end is marked. Where it is not, the last scan may lack data."""
    enough: bool
    """Whether the scans before the last bring luminance to within one bit, if the file is progressive and cut off."""


def size_of(body: bytes) -> tuple[int, int]:
    """Returns width and height. Raises ValueError when the file has no frame, else like `survey`."""
    for marker, content in _segments(body):
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", content, 1)
            return width, height
        if marker == _SOS:
            break
    raise ValueError("no frame")


def survey(body: bytes) -> Survey:
    """Reads all markers, which takes milliseconds.

    Raises TooCostlyError for too many scans or segments, UnsupportedError for a kind that is not decoded.
    """
    scans, profile_bytes, whole, frame, luminance = 0, 0, False, 0xC0, None
    missing, ending = [COEFFICIENTS] * COEFFICIENTS, (range(0), 0)  # bits of each coefficient of luminance; last scan's
    for marker, content in _segments(body):
        if marker in _FRAMES:
            frame = marker
            if content[:1] != b"\x08" or marker not in _DECODED_FRAMES:
                bits = f"with {content[0]} bits a channel" if content[:1] not in (b"", b"\x08") else "of a rare kind"
                raise UnsupportedError(f"the file is a JPEG {bits}: save it as an ordinary JPEG with 8 bits a channel")
            luminance = content[6:7]
        elif marker == _APP2 and content.startswith(b"ICC_PROFILE\0"):
            profile_bytes += len(content)
        elif marker == _EOI:
            whole = True
        elif marker == _SOS:
            _note(missing, *ending)
            scans += 1
            ending = _scan(content, luminance)
        if scans > MOST_SCANS:
            raise TooCostlyError(
                f"the JPEG has more than {MOST_SCANS} scans, where others have about 10, so that decoding takes too "
                "long: save it again as an ordinary JPEG"
            )
    _note(missing, *(ending if whole else (range(0), 0)))
    huffman = frame in (0xC0, 0xC1, 0xC2)
    return Survey(scans, huffman, profile_bytes, whole, frame not in _PROGRESSIVE or max(missing) <= 1)


def check_rows(image: Image.Image) -> None:
    """Raises DamagedError when more than an eighth of the rows of a file without an end was not decoded."""
    allowed = int(image.height * MISSING_SHARE) + 1
    last = np.asarray(image.crop((0, max(0, image.height - allowed), image.width, image.height)))
    if (last == MISSING_LEVEL).all():
        raise DamagedError("the JPEG is cut off: more than an eighth of the image is missing; send the whole file")


def _note(missing: list[int], coefficients: range, bits: int) -> None:
    for coefficient in coefficients:
        missing[coefficient] = bits


def _scan(content: bytes, luminance: bytes | None) -> tuple[range, int]:
    """Returns the coefficients of luminance that a scan brings, and how many of their bits are missing after it."""
    count = content[0] if content else 0
    tail = content[1 + 2 * count : 4 + 2 * count]
    if len(tail) < 3 or luminance not in [content[at : at + 1] for at in range(1, 1 + 2 * count, 2)]:
        return range(0), 0
    first, last, bits = tail
    return range(first, min(last + 1, COEFFICIENTS)), bits & 15


def _segments(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields the marker and the content of each segment up to the end of the first image."""
    at, count = 2, 0
    while (at := body.find(b"\xff", at)) >= 0:
        at, count = at + 1, count + 1
        marker = body[at] if at < len(body) else 0
        if count > MOST_SEGMENTS:
            raise TooCostlyError(
                f"the JPEG has more than {MOST_SEGMENTS:,} segments, where others have about 20, so that decoding "
                "takes too long: save it again as an ordinary JPEG"
            )
        if marker in _ALONE:
            continue
        if marker == _EOI:
            yield marker, b""
            return
        length = int.from_bytes(body[at + 1 : at + 3])
        yield marker, body[at + 3 : at + 1 + length]
        at += 1 + length
        if marker == _SOS:
            found = _AFTER_SCAN.search(body, at)
            if found is None:
                return
            at = found.start()
