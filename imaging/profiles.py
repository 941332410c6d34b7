"""ICC profiles: pixels of any colour space to sRGB.

Most files are in sRGB with or without a profile that says so. Such a profile is told by what it does to colours, which
is found out once for each profile, so that converting costs these files nothing.
"""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

STRIP_ROWS = 256
"""Rows that are converted at once where the result needs another image."""
KEPT_TRANSFORMS = 16
"""Transforms that are kept: those of phones and cameras are few."""
NEAR = 2
"""Grey levels by which a profile may differ from sRGB to count as the same."""

_SPACES = {"RGB": "RGB", "RGBA": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}
"""The colour space of the profile that fits pixels of each mode."""
_GRID = Image.fromarray(
    np.stack(np.meshgrid(*[np.linspace(0, 255, 9)] * 3), axis=-1).reshape(1, -1, 3).round().astype(np.uint8)
)


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Converts an image of mode RGB, RGBA, L, CMYK or LAB; the first three keep their mode, others become RGB.

    RGB and RGBA are converted in place. A profile that is broken or for another colour space is ignored: the pixels
    are then taken for sRGB.
    """
    if image.mode == "L":
        curve = _grey_curve(profile) if profile else None
        return image if curve is None else image.point(curve)
    transform = _transform(profile, image.mode) if profile or image.mode == "LAB" else None
    if image.mode in ("RGB", "RGBA"):
        return image if transform is None else transform.apply_in_place(image)
    if transform is None:
        return image.convert("RGB")
    result = Image.new("RGB", image.size)
    for top in range(0, image.height, STRIP_ROWS):
        strip = image.crop((0, top, image.width, min(top + STRIP_ROWS, image.height)))
        result.paste(transform.apply(strip), (0, top))
    return result


@lru_cache(KEPT_TRANSFORMS)
def _transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Returns the transform to sRGB; None where there is nothing to do, or nothing that can be done."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile) if profile else ImageCms.createProfile("LAB"))
        if source.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        if mode in ("RGB", "RGBA"):
            changed = np.asarray(_build(source, "RGB").apply(_GRID)).astype(int)
            if np.abs(changed - np.asarray(_GRID)).max() <= NEAR:
                return None
        return _build(source, mode)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _build(source: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        source,
        ImageCms.createProfile("sRGB"),
        mode,
        mode if mode == "RGBA" else "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


@lru_cache(KEPT_TRANSFORMS)
def _grey_curve(profile: bytes) -> list[int] | None:
    """Returns the grey level in sRGB of each of 256, by a profile of grey or of RGB; None where there is none."""
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    transform = _transform(profile, "L")
    if transform is None:
        transform, ramp = _transform(profile, "RGB"), ramp.convert("RGB")
    return None if transform is None else list(transform.apply(ramp).getchannel("G").tobytes())
