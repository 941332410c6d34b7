"""Colours of files with ICC profiles, against the same colours in sRGB."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageCms

from imaging import decode
from imaging.profiles import to_srgb

from . import icc

Encoded = Callable[..., bytes]
PLENTY = 10**7
FORMATS: dict[str, dict[str, object]] = {
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "JPEG": {"quality": 98, "subsampling": 0},
}


@pytest.fixture
def photograph() -> Image.Image:
    """Smooth colours in sRGB, none of them out of any space's reach."""
    small = np.random.default_rng(1).integers(30, 226, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((96, 64), Image.Resampling.BICUBIC)


def difference(image: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(image).astype(int) - np.asarray(other)).mean())


def save(encoded: Encoded, image: Image.Image, format: str, profile: bytes) -> bytes:
    options = {
        "JPEG": {"quality": 98, "subsampling": 0},
        "WEBP": {"lossless": True},
        "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    }
    return encoded(image, format, icc_profile=profile, **options.get(format, {}))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", icc.RGB)
def test_a_profile_is_converted_to_srgb(encoded: Encoded, photograph: Image.Image, name: str, format: str) -> None:
    profile = icc.rgb(name)
    stored = icc.convert(photograph, profile)
    assert difference(stored, photograph) > 2
    body = save(encoded, stored, format, profile)
    assert difference(decode(body, PLENTY).image, photograph) < 1.5


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_a_profile_is_converted_below_transparency(encoded: Encoded, photograph: Image.Image, format: str) -> None:
    profile = icc.rgb("Display P3")
    stored = icc.convert(photograph, profile)
    stored.putalpha(128)
    expected = Image.blend(Image.new("RGB", photograph.size, "white"), photograph, 128 / 255)
    assert difference(decode(save(encoded, stored, format, profile), PLENTY).image, expected) < 1.5


def test_a_palette_has_a_profile_too(encoded: Encoded) -> None:
    profile, colour = icc.rgb("Display P3"), Image.new("RGB", (4, 4), (200, 60, 40))
    body = encoded(icc.convert(colour, profile).quantize(2), "PNG", icc_profile=profile)
    assert difference(decode(body, PLENTY).image, colour) < 2


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF"])
def test_a_profile_of_grey_is_converted(encoded: Encoded, format: str) -> None:
    """A gamma of 1: half the light is 188 in sRGB."""
    body = save(encoded, Image.new("L", (16, 16), 128), format, icc.grey(1.0))
    assert np.abs(np.asarray(decode(body, PLENTY).image).astype(int) - 188).max() <= 2


def test_grey_pixels_with_a_profile_of_colours_are_converted(encoded: Encoded) -> None:
    body = encoded(Image.new("L", (16, 16), 128), "JPEG", icc_profile=icc.rgb("Linear"))
    assert np.abs(np.asarray(decode(body, PLENTY).image).astype(int) - 188).max() <= 2


@pytest.mark.parametrize("name", ["sRGB", "Display P3"])
@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_profile_for_other_pixels_does_no_harm(encoded: Encoded, name: str, mode: str) -> None:
    image = Image.new("RGB", (16, 16), (128, 128, 128)).convert(mode)
    found = decode(encoded(image, "JPEG", icc_profile=icc.rgb(name)), PLENTY).image
    assert difference(found, image.convert("RGB")) <= 1


@pytest.mark.parametrize("damage", [b"", b"no profile", b"\0" * 200])
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_a_broken_profile_is_ignored(encoded: Encoded, photograph: Image.Image, format: str, damage: bytes) -> None:
    profile = damage or icc.rgb("Display P3")[:300]
    found = decode(save(encoded, photograph, format, profile), PLENTY).image
    assert difference(found, photograph) < 1.5


def test_a_profile_of_srgb_changes_nothing(photograph: Image.Image) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for mode in ("RGB", "RGBA", "L"):
        image = photograph.convert(mode)
        assert to_srgb(image.copy(), srgb).tobytes() == image.tobytes()


def test_inks_without_a_profile_and_with_a_broken_one_look_the_same(encoded: Encoded) -> None:
    image = Image.new("CMYK", (300, 300), (0, 255, 255, 0))
    plain, broken = (decode(encoded(image, "JPEG", **kind), PLENTY).image for kind in ({}, {"icc_profile": b"x" * 200}))
    assert plain.tobytes() == broken.tobytes()


def test_inks_are_converted_by_their_profile(encoded: Encoded) -> None:
    """The profile makes every ink a medium grey, on more rows than are converted at once."""
    body = encoded(Image.new("CMYK", (16, 600), (0, 255, 255, 0)), "TIFF", icc_profile=icc.cmyk())
    pixels = np.asarray(decode(body, PLENTY).image).astype(int)
    assert pixels.shape == (600, 16, 3)
    assert np.ptp(pixels) <= 3
    assert 100 < pixels.mean() < 140
