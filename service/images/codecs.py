"""Image files to pixels and back. Every function is blocking."""

import contextlib
import functools
import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import imaging
from imaging import DamagedError, FileFormat, ImageError, TooCostlyError, TooLargeError, UnsupportedError, inspect
from imaging.inspection import LIGHT_PIXELS
from service.errors import Problem

Format = Literal["png", "jpeg", "webp"]
MEDIA_TYPES: dict[Format, str] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
LONGEST_SIDE: dict[str, int] = {"png": 2**31 - 1, "jpeg": 65_500, "webp": 16_383}
"""Longest side that each encoder accepts, in pixels."""
CPU_SECONDS, CPU_PIXELS = 3, 4_000_000
"""Processor time of work on an image: so many seconds, and one more for so many pixels."""
_ENCODER_OPTIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "png": ({"compress_level": 1},),
    "jpeg": ({"quality": 90},),
    "webp": ({"quality": 90, "method": 0}, {"quality": 90, "method": 4}),
}
"""Options to try in turn: WebP's fastest method fails on large images with much detail."""
_FORMAT_OF: dict[FileFormat, Format] = {"JPEG": "jpeg", "PNG": "png", "WEBP": "webp"}
_REFUSALS: tuple[tuple[type[ImageError], int, str], ...] = (
    (UnsupportedError, 415, "not-an-image"),
    (DamagedError, 422, "broken-image"),
    (TooLargeError, 413, "image-too-large"),
    (TooCostlyError, 422, "image-too-costly"),
)


@dataclass(frozen=True)
class Weight:
    """What work on an image takes."""

    pixels: int
    """Pixels of the image, to which its memory is proportional."""
    light: bool
    """Whether the work is cheap enough for the service's own process."""

    @classmethod
    def of_file(cls, body: bytes, max_pixels: int) -> Self:
        """The weight of decoding a file. Raises Problem, as `decode` does, for what its first bytes tell."""
        with _problems():
            found = inspect(body, max_pixels)
            return cls(found.pixels, found.light)

    @classmethod
    def of_size(cls, size: tuple[int, int]) -> Self:
        """The weight of encoding an image of `size` = (width, height)."""
        return cls(size[0] * size[1], size[0] * size[1] <= LIGHT_PIXELS)

    @property
    def cpu_seconds(self) -> int:
        """Processor time that the work may take, in whole seconds: about three times what an honest image takes."""
        return CPU_SECONDS + self.pixels // CPU_PIXELS


LIGHT: Final = Weight(0, light=True)


@dataclass(frozen=True)
class Decoded:
    """An uploaded image, upright and in sRGB."""

    image: Image.Image
    format: Format
    """Format of the file, if it is one of those that are encoded, else png."""
    size: tuple[int, int]
    """Width and height of the upload, upright; `image` may be smaller when a small one was enough."""


def decode(body: bytes, max_pixels: int, enough: Callable[[int, int], tuple[int, int]] | None = None) -> Decoded:
    """Decodes an image file as `imaging.decode` does.

    Raises Problem: 415 for another format, 422 for a damaged file or a costly one, 413 above `max_pixels`.
    """
    with _problems():
        decoded = imaging.decode(body, max_pixels, enough)
        return Decoded(decoded.image, _FORMAT_OF.get(decoded.format, "png"), decoded.size)


@contextlib.contextmanager
def _problems() -> Iterator[None]:
    """Turns the decoder's errors into problems."""
    try:
        yield
    except ImageError as error:
        status, kind = next((status, kind) for cls, status, kind in _REFUSALS if isinstance(error, cls))
        raise Problem(status, kind, str(error)) from error


def too_costly(reason: str) -> Problem:
    """The 422 of a file whose image is not worth its decoding; `reason` says what it took."""
    return Problem(422, "image-too-costly", f"{reason}: save it again as an ordinary JPEG or PNG")


def check_side(size: tuple[int, int], kind: Format) -> None:
    """Raises Problem 422 when the format cannot hold an image of `size` = (width, height)."""
    if max(size) > LONGEST_SIDE[kind]:
        raise Problem(
            422,
            "too-long-for-format",
            f"the image is {size[0]}x{size[1]}, but a side in {kind} has at most {LONGEST_SIDE[kind]:,} pixels: "
            "use format=png",
        )


def to_model(image: Image.Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resizes an RGB image to `size` = (width, height). Returns uint8 (1, height, width, 3)."""
    if image.size != size:
        image = image.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(image)[None]


def from_model(pixels: NDArray[np.uint8], size: tuple[int, int], kind: Format) -> bytes:
    """Resizes uint8 (height, width, 3) to `size` = (width, height) and encodes it. Raises Problem like `encode`."""
    image = Image.fromarray(pixels)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BICUBIC)
    return encode(image, kind)


def encode(image: Image.Image, kind: Format) -> bytes:
    """Encodes an image, PNG and WebP at their fastest setting. Raises Problem 422 when the encoder fails."""
    for options in _ENCODER_OPTIONS[kind]:
        buffer = io.BytesIO()
        try:
            image.save(buffer, format=kind, **options)
        except (OSError, ValueError):
            continue
        return buffer.getvalue()
    raise Problem(422, "not-encodable", f"{kind} cannot hold this image: use another format, such as format=png")


def encode_grey(pixels: NDArray[np.uint8], level: int = 1) -> bytes:
    """Encodes uint8 (height, width) as a PNG (ISO 15948), for one digit three times as fast as Pillow.

    `level`: zlib's compression level; 0 stores the pixels uncompressed.
    """
    height, width = pixels.shape
    lines = np.zeros((height, width + 1), dtype=np.uint8)  # a line begins with its filter type, 0 for none
    lines[:, 1:] = pixels
    return _grey_header(width, height) + _chunk(b"IDAT", zlib.compress(lines.tobytes(), level)) + _PNG_END


@functools.lru_cache(64)
def _grey_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)  # 8 bits of grey, not interlaced
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return b"%b%b%b%b" % (len(data).to_bytes(4), kind, data, zlib.crc32(data, zlib.crc32(kind)).to_bytes(4))


_PNG_END = _chunk(b"IEND", b"")


def tile(digits: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Puts digits, uint8 (n, 28, 28), into one image, row by row without gaps. Cells without a digit are black."""
    n, height, width = digits.shape
    if n == columns == 1:
        return digits[0]
    rows = -(-n // columns)
    canvas = np.zeros((rows * columns, height, width), dtype=np.uint8)
    canvas[:n] = digits
    return canvas.reshape(rows, columns, height, width).swapaxes(1, 2).reshape(rows * height, -1)
