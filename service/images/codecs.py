"""Image files to pixels and back. Every function is blocking."""

import functools
import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from service.errors import Problem

Format = Literal["png", "jpeg", "webp"]
MEDIA_TYPES: dict[Format, str] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
LONGEST_SIDE: dict[str, int] = {"png": 2**31 - 1, "jpeg": 65_500, "webp": 16_383}
"""Longest side that each encoder accepts, in pixels."""
LIGHT_BYTES, LIGHT_PIXELS = 256 * 1024, 500_000
"""Largest image that is decoded or encoded in the service's own process, where it holds Python's lock."""
DRAFT = 2
"""A JPEG is decoded at no less than this many times the sides that it is resized to, so that resizing decides."""
_ENCODER_OPTIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "png": ({"compress_level": 1},),
    "jpeg": ({"quality": 90},),
    "webp": ({"quality": 90, "method": 0}, {"quality": 90, "method": 4}),
}
"""Options to try in turn: WebP's fastest method fails on large images with much detail."""
_FORMATS = ("JPEG", "PNG", "WEBP")
Image.MAX_IMAGE_PIXELS = None  # `decode` has its own limit, which may be above Pillow's
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Transposition that undoes each EXIF orientation."""


@dataclass(frozen=True)
class Weight:
    """What work on an image takes."""

    pixels: int
    """Pixels of the image, to which its memory is proportional."""
    light: bool
    """Whether the work is cheap enough for the service's own process."""

    @classmethod
    def of_file(cls, body: bytes) -> Self:
        """The weight of decoding a file: light, whatever it contains, with few bytes, few pixels and one pass.

        A progressive JPEG may go over its pixels thousands of times.
        """
        try:
            with Image.open(io.BytesIO(body), formats=_FORMATS) as image:
                pixels = image.width * image.height
                return cls(pixels, max(len(body) / LIGHT_BYTES, pixels / LIGHT_PIXELS) <= 1 and not _progressive(image))
        except Exception:  # Pillow raises many kinds for a damaged header; `decode` reports it
            return cls(0, len(body) <= LIGHT_BYTES)

    @classmethod
    def of_size(cls, size: tuple[int, int]) -> Self:
        """The weight of encoding an image of `size` = (width, height)."""
        return cls(size[0] * size[1], size[0] * size[1] <= LIGHT_PIXELS)


LIGHT: Final = Weight(0, light=True)


def _progressive(image: Image.Image) -> bool:
    return "progressive" in image.info


@dataclass(frozen=True)
class Decoded:
    """An uploaded image, upright and in RGB, and the format of its file."""

    image: Image.Image
    format: Format
    size: tuple[int, int]
    """Width and height of the upload, upright; `image` may be smaller when a small one was enough."""


def decode(body: bytes, max_pixels: int, enough: Callable[[int, int], tuple[int, int]] | None = None) -> Decoded:
    """Decodes a JPEG, PNG or WebP file, applies its EXIF orientation and composites transparency over white.

    `enough`: maps the upright width and height to those to which the image will be resized. A JPEG with more than
    twice such sides is decoded at a half, a quarter or an eighth, which is faster.

    Raises Problem: 415 for another format, 422 for a damaged or animated image, 413 above `max_pixels`.
    """
    try:
        with Image.open(io.BytesIO(body), formats=_FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise Problem(
                    413,
                    "image-too-large",
                    f"the image is {image.width}x{image.height}, but at most {max_pixels:,} pixels are allowed: "
                    "send a smaller image",
                )
            if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":  # an MPO is a photograph with previews
                raise Problem(422, "animated-image", "the image is animated: send a single frame")
            size = image.size
            if enough is not None and image.format in ("JPEG", "MPO"):
                needed = _turned(image, enough(*_turned(image, size)))
                image.draft(None, _draft_size(*size, *needed))
            image.load()
            kind: Format = "jpeg" if image.format in ("JPEG", "MPO") else "png" if image.format == "PNG" else "webp"
            return Decoded(_to_rgb(_upright(image)), kind, _turned(image, size))
    except (Problem, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise Problem(415, "not-an-image", "the body is not a JPEG, PNG or WebP image") from error
    except Exception as error:  # Pillow raises many kinds for a damaged image, for example IndexError
        raise Problem(
            422, "broken-image", f"the image cannot be decoded ({error}): it is truncated or damaged"
        ) from error


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


def _orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation; 1, upright, for one that cannot be read."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # Pillow raises many kinds for damaged EXIF data, which is no reason to refuse the image
        return 1
    return orientation if isinstance(orientation, int) and orientation in _TRANSPOSITIONS else 1


def _draft_size(width: int, height: int, needed_width: int, needed_height: int) -> tuple[int, int]:
    """Returns the smallest size at which a JPEG may be decoded. A side that is not divisible would be stretched."""
    for scale in (8, 4, 2):
        divisible = width % scale == 0 == height % scale
        if divisible and width >= DRAFT * scale * needed_width and height >= DRAFT * scale * needed_height:
            return width // scale, height // scale
    return width, height


def _turned(image: Image.Image, size: tuple[int, int]) -> tuple[int, int]:
    """Exchanges width and height if the EXIF orientation does: stored to upright, or back."""
    return size if _orientation(image) < 5 else size[::-1]


def _upright(image: Image.Image) -> Image.Image:
    """Applies the EXIF orientation."""
    transposition = _TRANSPOSITIONS.get(_orientation(image))
    return image if transposition is None else image.transpose(transposition)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":  # convert() would clip 16 bits to 8 instead of scaling
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")  # a copy takes as much memory again
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image)
        return white
    return image if image.mode == "RGB" else image.convert("RGB")
