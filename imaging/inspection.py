"""What a file is and costs, seen without a decoder: cheap and safe enough for a service's own process."""

from dataclasses import dataclass
from typing import Final

from imaging import jpeg, png
from imaging.formats import FileFormat, identify
from imaging.sizes import check_size, size_of

LIGHT_BYTES: Final = 256 * 1024
"""Most bytes of a light file."""
LIGHT_PIXELS: Final = 500_000
"""Most pixels of a light image."""
LIGHT_SCANNED: Final = 5_000_000
"""Most pixels of a light JPEG, counted once for each scan that goes over them."""
LIGHT_PROFILE: Final = 4096
"""Most bytes of a light file's ICC profile: a matrix and curves, as phones and cameras write it, without tables."""

_WEBP_ANIMATED = 2


@dataclass(frozen=True)
class Inspection:
    """What is known of a file before it is decoded."""

    format: FileFormat
    """Its format."""
    pixels: int
    """Pixels of the image."""
    light: bool
    """Whether decoding takes milliseconds, whatever the rest of the file says."""


def inspect(body: bytes, max_pixels: int) -> Inspection:
    """Reads the head of a file, and the structure of a PNG or of few bytes; takes at most a few milliseconds.

    Raises ImageError for a file that `decode` would refuse for its size or format, and for the cost of its structure.
    """
    kind = identify(body)
    size = size_of(body, kind)
    check_size(size, max_pixels)
    pixels = size[0] * size[1]
    few = len(body) <= LIGHT_BYTES
    light = (few or kind == "PNG") and _simple(body, kind, pixels) and few and pixels <= LIGHT_PIXELS
    return Inspection(kind, pixels, light)


def _simple(body: bytes, kind: FileFormat, pixels: int) -> bool:
    """Whether a file of few bytes takes few passes over its pixels and little else. Rare formats are never simple."""
    if kind == "JPEG":
        markers = jpeg.survey(body)
        few = markers.scans * pixels <= LIGHT_SCANNED and markers.profile_bytes <= LIGHT_PROFILE
        return markers.huffman and few
    if kind == "PNG":
        chunks = png.survey(body)
        return chunks.chunks <= png.SIMPLE_CHUNKS and len(chunks.profile or b"") <= LIGHT_PROFILE
    if kind == "WEBP":  # an extended file has flags, and an ICC profile that comes first
        if body[12:16] != b"VP8X":
            return True
        profile = int.from_bytes(body[34:38], "little") if body[30:34] == b"ICCP" else 0
        return not body[20] & _WEBP_ANIMATED and profile <= LIGHT_PROFILE
    return False
