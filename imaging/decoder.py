"""Bytes of an image file to upright sRGB pixels. Blocking."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import (
    AvifImagePlugin,
    ExifTags,
    Image,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401 - registers the format, as the other imports do; the rest is always there
)

from imaging import jpeg, png
from imaging.errors import DamagedError, ImageError, UnsupportedError
from imaging.formats import FileFormat, identify
from imaging.profiles import to_srgb
from imaging.sizes import check_size, size_of

BACKGROUND: Final = "white"
"""What transparent pixels are laid on."""
DRAFT = 2
"""A JPEG is decoded at no less than this many times the sides that it is resized to, so that resizing decides."""
Image.MAX_IMAGE_PIXELS = None  # `decode` has its own limit, which may be above Pillow's
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # an image has the processor time of one

_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # tag of TIFF
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
class Decoded:
    """An image, upright, in RGB and in sRGB."""

    image: Image.Image
    format: FileFormat
    """Format of the file."""
    size: tuple[int, int]
    """Width and height of the file's image, upright; `image` may be smaller when a small one was enough."""


def decode(body: bytes, max_pixels: int, enough: Callable[[int, int], tuple[int, int]] | None = None) -> Decoded:
    """Decodes an image file: the first image of several.

    Its EXIF orientation is applied, its ICC profile converted to sRGB, its transparency laid on white, and 16 bits
    scaled to 8. What the image does not need may be damaged, and the end of a JPEG may be missing.

    `enough`: maps the upright width and height to those to which the image will be resized. A JPEG with more than
    twice such sides is decoded at a half, a quarter or an eighth, which is faster.

    Raises ImageError: UnsupportedError, DamagedError, TooLargeError above `max_pixels`, or TooCostlyError.
    """
    kind = identify(body)
    check_size(size_of(body, kind), max_pixels)
    try:
        if kind == "JPEG":
            return _jpeg(body, max_pixels, enough)
        if kind == "PNG":
            return _png(body, max_pixels)
        with _open(body, kind, max_pixels) as image:
            turn = _orientation(image) if kind != "TIFF" else 1  # Pillow turns these itself
            image.load()
            return _upright(_to_rgb(image, image.info.get("icc_profile")), kind, turn)
    except (ImageError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        cure = "it is damaged, or of a kind that is not decoded; save it as PNG or JPEG"
        raise DamagedError(f"the {kind} image cannot be decoded: {cure}") from error
    except Exception as error:  # Pillow raises many kinds for a damaged image, for example IndexError
        raise DamagedError(f"the {kind} image cannot be decoded ({error}): it is cut off or damaged") from error


def _open(body: bytes, kind: FileFormat, max_pixels: int) -> Image.Image:
    image = Image.open(io.BytesIO(body), formats=(kind,))
    check_size(image.size, max_pixels)  # as Pillow understands the file
    return image


def _jpeg(body: bytes, max_pixels: int, enough: Callable[[int, int], tuple[int, int]] | None) -> Decoded:
    markers = jpeg.survey(body)
    if not markers.enough:
        raise DamagedError("the JPEG is cut off: passes that bring most of its detail are missing; send the whole file")
    with _open(body if markers.whole else body + jpeg.END, "JPEG", max_pixels) as image:
        size, turn = image.size, _orientation(image)
        if enough is not None:
            needed = _turned(enough(*_turned(size, turn)), turn)
            image.draft(None, _draft_size(*size, *needed))
        image.load()
        if not markers.whole:
            jpeg.check_rows(image)
        decoded = _upright(_to_rgb(image, image.info.get("icc_profile")), "JPEG", turn)
        return Decoded(decoded.image, "JPEG", _turned(size, turn))


def _png(body: bytes, max_pixels: int) -> Decoded:
    chunks = png.survey(body)
    with _open(chunks.clean(body), "PNG", max_pixels) as image:
        image.load()
        transparent = chunks.transparent
        if transparent is not None and image.mode in ("L", "RGB"):  # Pillow has scaled the pixels, but not these
            depth = chunks.depth
            levels = tuple(v >> 8 if depth == 16 else v * 255 // (2**depth - 1) for v in transparent)
            image.info["transparency"] = levels if image.mode == "RGB" else levels[0]
        return _upright(_to_rgb(image, chunks.profile), "PNG", _orientation(image))


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


def _turned(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Exchanges width and height if the orientation does: stored to upright, or back."""
    return size if orientation < 5 else size[::-1]


def _upright(image: Image.Image, kind: FileFormat, orientation: int) -> Decoded:
    transposition = _TRANSPOSITIONS.get(orientation)
    image = image if transposition is None else image.transpose(transposition)
    image.info = {}  # an encoder would write the file's comment into the response
    return Decoded(image, kind, image.size)


def _to_rgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if image.mode.startswith("I;16"):  # convert() would clip 16 bits to 8 instead of scaling
        image = _scaled(image)
    if image.mode in ("I", "F"):
        raise UnsupportedError("the image has 32 bits a channel, whose range is not known: save it with 8 or 16 bits")
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else _converted(image, "RGBA")  # a copy takes as much memory again
        image = to_srgb(image, profile)
        background = Image.new("RGB", image.size, BACKGROUND)
        background.paste(image, mask=image)
        return background
    if image.mode in ("1", "L"):
        return to_srgb(_converted(image, "L"), profile).convert("RGB")
    if image.mode not in ("CMYK", "LAB"):
        image = _converted(image, "RGB")
    return to_srgb(image, profile)


def _converted(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)


def _scaled(image: Image.Image) -> Image.Image:
    """Scales 16 bits of grey to 8, with one transparent level at most, which is told at 16 bits."""
    levels = np.asarray(image)
    eight = (levels >> 8).astype(np.uint8)
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        np.invert(eight, out=eight)  # which Pillow does with 8 bits alone
    grey = Image.fromarray(eight)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        alpha = Image.fromarray(np.where(levels == transparent, 0, 255).astype(np.uint8))
        return Image.merge("LA", (grey, alpha))
    return grey
