"""Pictures to pixels and back; every function is blocking."""

import functools
import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from service.errors import Problem

Format = Literal["png", "jpeg", "webp"]
MEDIA_TYPES: dict[Format, str] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
LONGEST_SIDE: dict[str, int] = {"png": 2**31 - 1, "jpeg": 65_500, "webp": 16_383}
"""Pixels; what the encoders take at most."""
LIGHT_BYTES, LIGHT_PIXELS = 256 * 1024, 500_000
"""Of pictures that may be decoded and encoded in the service's own process, whose lock they hold."""
_ENCODING: dict[str, tuple[dict[str, Any], ...]] = {
    "png": ({"compress_level": 1},),
    "jpeg": ({"quality": 90},),
    "webp": ({"quality": 90, "method": 0}, {"quality": 90, "method": 4}),
}
"""Options of each encoder, and those to try next: WebP's fastest method gives up on large detailed pictures."""
_FORMATS = ("JPEG", "PNG", "WEBP")
Image.MAX_IMAGE_PIXELS = None  # `decode` has a limit of its own, which may be above Pillow's
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation."""


def is_light(body: bytes) -> bool:
    """Whether decoding takes a thread little, however the picture was made: few bytes, few pixels, one pass.

    A progressive JPEG may go over its pixels thousands of times.
    """
    if len(body) > LIGHT_BYTES:
        return False
    try:
        with Image.open(io.BytesIO(body), formats=_FORMATS) as image:
            return image.width * image.height <= LIGHT_PIXELS and "progressive" not in image.info
    except Exception:  # Pillow raises many kinds for a damaged header, of which `decode` says more
        return True


@dataclass(frozen=True)
class Picture:
    """An uploaded picture, upright and in RGB, and the format it came in."""

    image: Image.Image
    format: Format


def decode(body: bytes, max_pixels: int) -> Picture:
    """Bytes of a JPEG, PNG or WebP -> the picture, turned upright by its EXIF note, transparency laid on white.

    Raises Problem: 415 for another format, 422 for a broken or animated picture, 413 above `max_pixels`.
    """
    try:
        with Image.open(io.BytesIO(body), formats=_FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise Problem(
                    413,
                    "image-too-large",
                    f"the picture is {image.width}x{image.height}, at most {max_pixels:,} pixels are taken: shrink it",
                )
            if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":  # an MPO is a photo with previews behind it
                raise Problem(422, "animated-image", "the picture is animated: send one frame")
            image.load()
            kind: Format = "jpeg" if image.format in ("JPEG", "MPO") else "png" if image.format == "PNG" else "webp"
            return Picture(_to_rgb(_upright(image)), kind)
    except (Problem, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise Problem(415, "not-an-image", "the body is not a JPEG, PNG or WebP picture") from error
    except Exception as error:  # Pillow raises many kinds for a damaged picture, IndexError for one
        raise Problem(
            422, "broken-image", f"the picture cannot be decoded ({error}): it is truncated or damaged"
        ) from error


def check_side(size: tuple[int, int], kind: Format) -> None:
    """Raises Problem 422 when a picture of `size` is longer than the format can hold."""
    if max(size) > LONGEST_SIDE[kind]:
        raise Problem(
            422,
            "too-long-for-format",
            f"the picture is {size[0]}x{size[1]}, {kind} holds at most {LONGEST_SIDE[kind]:,} a side: "
            "ask for format=png",
        )


def to_model(image: Image.Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    """RGB picture -> uint8 (1, height, width, 3) at `size` = (width, height)."""
    if image.size != size:
        image = image.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(image)[None]


def from_model(pixels: NDArray[np.uint8], size: tuple[int, int], kind: Format) -> bytes:
    """uint8 (height, width, 3) -> an encoded picture of `size` = (width, height)."""
    image = Image.fromarray(pixels)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BICUBIC)
    return encode(image, kind)


def encode(image: Image.Image, kind: Format) -> bytes:
    """An encoded picture; PNG and WebP at the level that costs least time.

    Raises Problem 422 when the encoder gives up.
    """
    for options in _ENCODING[kind]:
        buffer = io.BytesIO()
        try:
            image.save(buffer, format=kind, **options)
        except (OSError, ValueError):
            continue
        return buffer.getvalue()
    raise Problem(422, "not-encodable", f"{kind} cannot hold this picture: ask for another format, such as format=png")


def encode_grey(pixels: NDArray[np.uint8], level: int = 1) -> bytes:
    """uint8 (height, width) -> a PNG (ISO 15948), in a third of the time that Pillow takes for one digit.

    `level`: zlib's, 0 to store the pixels as they are.
    """
    height, width = pixels.shape
    lines = np.zeros((height, width + 1), dtype=np.uint8)  # each begins with the number of its filter, none
    lines[:, 1:] = pixels
    return _head_of_grey(width, height) + _chunk(b"IDAT", zlib.compress(lines.tobytes(), level)) + _PNG_END


@functools.lru_cache(64)
def _head_of_grey(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)  # 8 bits of grey, not interlaced
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return b"%b%b%b%b" % (len(data).to_bytes(4), kind, data, zlib.crc32(data, zlib.crc32(kind)).to_bytes(4))


_PNG_END = _chunk(b"IEND", b"")


def tile(digits: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """uint8 (N, 28, 28) -> one grey picture, row by row without gaps, the rest black."""
    n, height, width = digits.shape
    if n == columns == 1:
        return digits[0]
    rows = -(-n // columns)
    canvas = np.zeros((rows * columns, height, width), dtype=np.uint8)
    canvas[:n] = digits
    return canvas.reshape(rows, columns, height, width).swapaxes(1, 2).reshape(rows * height, -1)


def _upright(image: Image.Image) -> Image.Image:
    """Turned as the EXIF note asks; a note that cannot be read asks for nothing."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # Pillow raises many kinds for a damaged note, which is no reason to refuse the picture
        return image
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":  # convert() would clip 16 bits to 8 instead of scaling
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image)
        return white
    return image if image.mode == "RGB" else image.convert("RGB")
