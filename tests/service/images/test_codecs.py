import io
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from service.errors import Problem
from service.images import codecs

Encoded = Callable[..., bytes]
Noise = Callable[..., Image.Image]
PLENTY = 10**7


def pixels_of(image: codecs.Decoded) -> np.ndarray:
    assert image.image.mode == "RGB"
    return np.asarray(image.image)


@pytest.mark.parametrize(
    ("format", "kind"),
    [
        ("PNG", "png"),
        ("WEBP", "webp"),
        ("JPEG", "jpeg"),
        ("GIF", "png"),
        ("BMP", "png"),
        ("TIFF", "png"),
        ("AVIF", "png"),
    ],
)
def test_decode_names_the_format_of_the_response(encoded: Encoded, noise: Noise, format: str, kind: str) -> None:
    image = codecs.decode(encoded(noise(30, 20), format), PLENTY)
    assert (image.format, image.size, image.image.size) == (kind, (30, 20), (30, 20))


def test_decode_refuses_with_problems(encoded: Encoded, noise: Noise) -> None:
    body = encoded(noise(20, 20), "PNG")
    text = b"\0\0\0\0tEXt" + zlib.crc32(b"tEXt").to_bytes(4)
    for upload, status, kind in (
        (b"no image", 415, "not-an-image"),
        (body[:200], 422, "broken-image"),
        (encoded(noise(101, 100), "PNG"), 413, "image-too-large"),
        (body[:33] + 20_000 * text + body[33:], 422, "image-too-costly"),
    ):
        with pytest.raises(Problem) as caught:
            codecs.decode(upload, 10_000)
        assert (caught.value.status, caught.value.kind) == (status, kind)


def test_weighing_refuses_with_the_same_problems() -> None:
    with pytest.raises(Problem) as caught:
        codecs.Weight.of_file(b"no image", PLENTY)
    assert (caught.value.status, caught.value.kind) == (415, "not-an-image")


def test_to_model_resizes_to_the_size_asked(noise: Noise) -> None:
    rows = codecs.to_model(noise(50, 30), (96, 64))
    assert (rows.shape, rows.dtype) == ((1, 64, 96, 3), np.uint8)


def test_to_model_leaves_a_fitting_image_alone(noise: Noise) -> None:
    image = noise(96, 64)
    assert (codecs.to_model(image, (96, 64))[0] == np.asarray(image)).all()


def test_from_model_returns_to_the_size_asked(noise: Noise) -> None:
    result = codecs.from_model(np.asarray(noise(96, 64)), (50, 30), "png")
    assert Image.open(io.BytesIO(result)).size == (50, 30)


@pytest.mark.parametrize(("kind", "tolerance"), [("png", 0), ("jpeg", 4), ("webp", 4)])
def test_encode_keeps_colours(kind: codecs.Format, tolerance: int) -> None:
    body = codecs.encode(Image.new("RGB", (32, 32), (200, 100, 50)), kind)
    image = codecs.decode(body, PLENTY)
    assert image.format == kind
    assert np.abs(pixels_of(image).astype(int) - (200, 100, 50)).max() <= tolerance


def test_encode_finds_a_way_for_an_image_that_webps_fastest_method_gives_up_on() -> None:
    detail = Image.fromarray(np.random.default_rng(0).integers(0, 256, (500, 625, 3), dtype=np.uint8))
    image = detail.resize((5000, 4000), Image.Resampling.BICUBIC)
    with pytest.raises(ValueError, match="encoding error"):
        image.save(io.BytesIO(), "WEBP", quality=90, method=0)
    assert Image.open(io.BytesIO(codecs.encode(image, "webp"))).size == (5000, 4000)


def test_encode_says_what_to_do_when_the_encoder_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def give_up(*arguments: object, **options: object) -> None:
        raise ValueError("encoding error 6")

    monkeypatch.setattr(Image.Image, "save", give_up)
    with pytest.raises(Problem, match="format=png") as caught:
        codecs.encode(Image.new("RGB", (8, 8)), "webp")
    assert (caught.value.status, caught.value.kind) == (422, "not-encodable")


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_encode_takes_the_longest_side_it_promises(kind: codecs.Format) -> None:
    image = Image.new("RGB", (codecs.LONGEST_SIDE[kind], 1))
    assert codecs.decode(codecs.encode(image, kind), PLENTY).image.size == image.size


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("size", [(1, 1), (28, 28), (84, 28), (300, 700)])
def test_a_grey_png_is_what_pillow_reads(size: tuple[int, int], level: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    image = Image.open(io.BytesIO(codecs.encode_grey(pixels, level)))
    image.verify()  # the checksums
    image = Image.open(io.BytesIO(codecs.encode_grey(pixels, level)))
    assert (image.format, image.mode) == ("PNG", "L")
    assert (np.asarray(image) == pixels).all()


def test_tile_puts_digits_side_by_side_and_fills_with_black() -> None:
    digits = np.full((3, 28, 28), 1, np.uint8) * np.array([10, 20, 30], np.uint8)[:, None, None]
    sheet = codecs.tile(digits, 2)
    assert sheet.shape == (56, 56)
    assert sheet.reshape(2, 28, 2, 28).mean(axis=(1, 3)).tolist() == [[10, 20], [30, 0]]


def test_tile_keeps_each_digit_upright() -> None:
    digits = np.random.default_rng(0).integers(0, 256, (2, 28, 28), dtype=np.uint8)
    sheet = codecs.tile(digits, 1)
    assert (sheet[:28] == digits[0]).all()
    assert (sheet[28:] == digits[1]).all()


def test_tile_with_more_columns_than_digits_has_them_all_in_one_row() -> None:
    assert codecs.tile(np.zeros((2, 28, 28), np.uint8), 5).shape == (28, 140)


def test_work_gets_more_processor_time_for_more_pixels() -> None:
    small, photograph = codecs.Weight.of_size((100, 100)), codecs.Weight.of_size((4000, 3000))
    assert (small.light, small.cpu_seconds) == (True, codecs.CPU_SECONDS)
    assert (photograph.light, photograph.cpu_seconds) == (False, codecs.CPU_SECONDS + 3)
