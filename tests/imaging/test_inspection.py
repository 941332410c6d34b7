"""What is known of a file before it is decoded."""

import struct
import zlib
from collections.abc import Callable

import pytest
from PIL import Image, ImageCms

from imaging import DamagedError, TooCostlyError, TooLargeError, UnsupportedError, inspect
from imaging.inspection import LIGHT_BYTES

Encoded = Callable[..., bytes]
Noise = Callable[..., Image.Image]
PLENTY = 10**9


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_format_and_size_are_told_without_decoding(encoded: Encoded, noise: Noise, format: str) -> None:
    found = inspect(encoded(noise(70, 50), format), PLENTY)
    assert (found.format, found.pixels) == (format, 3500)


@pytest.mark.parametrize("options", [{"lossless": True}, {"lossless": False}, {"icc_profile": b"x" * 99}])
def test_each_kind_of_webp_tells_its_size(encoded: Encoded, noise: Noise, options: dict[str, object]) -> None:
    assert inspect(encoded(noise(301, 299), "WEBP", **options), PLENTY).pixels == 301 * 299


def test_a_large_tiff_tells_its_size(encoded: Encoded, noise: Noise) -> None:
    assert inspect(encoded(noise(70, 50), "TIFF", big_tiff=True), PLENTY).pixels == 3500


@pytest.mark.parametrize("place", [16, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_large_tiff_whose_directory_is_beyond_its_end_is_damaged(place: int) -> None:
    with pytest.raises(DamagedError, match="send the whole file"):
        inspect(b"II+\0\x08\0\0\0" + struct.pack("<Q", place), PLENTY)


def test_usual_small_files_are_light(encoded: Encoded, noise: Noise) -> None:
    small = noise(64, 64)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for kind in ("JPEG", "PNG", "WEBP"):
        assert inspect(encoded(small, kind), PLENTY).light
        assert inspect(encoded(small, kind, icc_profile=srgb), PLENTY).light
    assert inspect(encoded(small, "JPEG", progressive=True), PLENTY).light
    assert inspect(encoded(Image.new("RGB", (1000, 500)), "PNG"), PLENTY).light


def test_large_and_unusual_files_are_not_light(encoded: Encoded, noise: Noise) -> None:
    small, frames = noise(64, 64), {"save_all": True, "append_images": [noise(64, 64).rotate(90)]}
    assert not inspect(encoded(Image.new("RGB", (1000, 501)), "PNG"), PLENTY).light
    assert not inspect(encoded(small, "PNG") + bytes(LIGHT_BYTES), PLENTY).light
    passes = encoded(Image.new("RGB", (1000, 500)), "JPEG", progressive=True)
    last = passes[passes.rindex(b"\xff\xda") : -2]
    assert not inspect(passes[:-2] + last + passes[-2:], PLENTY).light
    assert not inspect(encoded(small, "WEBP", **frames), PLENTY).light
    assert not any(inspect(encoded(small, kind), PLENTY).light for kind in ("GIF", "BMP", "TIFF", "AVIF"))
    for kind in ("JPEG", "PNG", "WEBP"):
        assert not inspect(encoded(small, kind, icc_profile=bytes(5000)), PLENTY).light


def test_a_few_chunks_too_many_are_not_light(encoded: Encoded, noise: Noise) -> None:
    body = encoded(noise(64, 64), "PNG")
    assert inspect(body[:33] + 50 * chunk(b"tEXt") + body[33:], PLENTY).light
    assert not inspect(body[:33] + 100 * chunk(b"tEXt") + body[33:], PLENTY).light


def test_what_decoding_would_refuse_is_refused(encoded: Encoded, noise: Noise) -> None:
    with pytest.raises(UnsupportedError):
        inspect(b"no image", PLENTY)
    with pytest.raises(TooLargeError):
        inspect(encoded(noise(10, 10), "GIF"), 99)
    body = encoded(noise(64, 64), "PNG")
    with pytest.raises(TooCostlyError):
        inspect(body[:33] + 20_000 * chunk(b"tEXt") + body[33:], PLENTY)
