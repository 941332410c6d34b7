import io
import random
import struct
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


def refusal(body: bytes, max_pixels: int = PLENTY) -> Problem:
    with pytest.raises(Problem) as caught:
        codecs.decode(body, max_pixels)
    return caught.value


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def exif(orientation: int) -> Image.Exif:
    notes = Image.Exif()
    notes[0x0112] = orientation
    return notes


def camera_notes() -> Image.Exif:
    """What cameras write beside the orientation: words, numbers, fractions, and notes within notes."""
    notes = exif(6)
    notes[0x010F], notes[0x011A], notes[0x0128], notes[0x9286] = "maker", 72.0, 2, b"comment"
    notes.get_ifd(0x8769).update({0x829A: 0.01, 0x8827: 100, 0x927C: b"secret of the maker"})
    return notes


@pytest.mark.parametrize(
    ("format", "options", "kind"),
    [("PNG", {}, "png"), ("WEBP", {"lossless": True}, "webp"), ("JPEG", {"quality": 95}, "jpeg")],
)
def test_decode_names_the_format(encoded: Encoded, noise: Noise, format: str, options: dict, kind: str) -> None:
    image = codecs.decode(encoded(noise(30, 20), format, **options), PLENTY)
    assert (image.format, image.image.size) == (kind, (30, 20))


@pytest.mark.parametrize(("format", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_decode_keeps_every_pixel(encoded: Encoded, noise: Noise, format: str, options: dict) -> None:
    image = noise(30, 20)
    assert (pixels_of(codecs.decode(encoded(image, format, **options), PLENTY)) == np.asarray(image)).all()


def test_decode_reads_grey(encoded: Encoded) -> None:
    assert (pixels_of(codecs.decode(encoded(Image.new("L", (4, 4), 77), "PNG"), PLENTY)) == 77).all()


def test_decode_reads_black_and_white(encoded: Encoded) -> None:
    assert (pixels_of(codecs.decode(encoded(Image.new("1", (4, 4), 1), "PNG"), PLENTY)) == 255).all()


def test_decode_reads_cmyk(encoded: Encoded) -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan, all magenta and yellow: red
    red, green, blue = pixels_of(codecs.decode(encoded(image, "JPEG"), PLENTY)).mean(axis=(0, 1))
    assert red > 240
    assert max(green, blue) < 15


def test_decode_reads_a_palette(encoded: Encoded) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert (pixels_of(codecs.decode(encoded(image, "PNG"), PLENTY)) == (10, 20, 30)).all()


def test_decode_lays_transparent_colours_of_a_palette_on_white(encoded: Encoded) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert (pixels_of(codecs.decode(encoded(image, "PNG", transparency=1), PLENTY)) == 255).all()


@pytest.mark.parametrize(("alpha", "expected"), [(0, 255), (255, 100), (128, 177)])
@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_decode_lays_transparency_on_white(encoded: Encoded, format: str, alpha: int, expected: int) -> None:
    image = Image.new("RGBA", (4, 4), (100, 100, 100, alpha))
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    pixels = pixels_of(codecs.decode(encoded(image, format, **options), PLENTY))
    assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_decode_scales_16_bits_to_8(encoded: Encoded) -> None:
    image = Image.fromarray(np.array([[0, 0x7FFF, 0x8000, 0xFFFF]], dtype=np.uint16))
    assert pixels_of(codecs.decode(encoded(image, "PNG"), PLENTY))[0, :, 0].tolist() == [0, 127, 128, 255]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "place"),
    [(1, (0, 0)), (2, (0, 1)), (3, (1, 1)), (4, (1, 0)), (5, (0, 0)), (6, (0, 1)), (7, (1, 1)), (8, (1, 0))],
)
def test_decode_turns_an_image_upright(encoded: Encoded, format: str, orientation: int, place: tuple[int, int]) -> None:
    stored = np.zeros((64, 96, 3), np.uint8)
    stored[:32, :48] = 255  # the upper left quarter as stored
    image = codecs.decode(encoded(Image.fromarray(stored), format, exif=exif(orientation)), PLENTY)
    assert image.image.size == ((96, 64) if orientation < 5 else (64, 96))
    height, width = (64, 96) if orientation < 5 else (96, 64)
    quarters = pixels_of(image).reshape(2, height // 2, 2, width // 2, 3).mean(axis=(1, 3, 4))
    assert np.unravel_index(quarters.argmax(), (2, 2)) == place


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_decode_refuses_animations(encoded: Encoded, noise: Noise, format: str) -> None:
    frames = [noise(8, 8), Image.new("RGB", (8, 8), "red")]
    problem = refusal(encoded(frames[0], format, save_all=True, append_images=frames[1:]))
    assert (problem.status, problem.kind) == (422, "animated-image")


def test_decode_takes_the_photo_of_a_multi_image_jpeg(encoded: Encoded) -> None:
    # what cameras write with a preview behind the photo
    photo, preview = Image.new("RGB", (32, 32), "red"), Image.new("RGB", (8, 8), "blue")
    image = codecs.decode(encoded(photo, "MPO", save_all=True, append_images=[preview]), PLENTY)
    assert (image.format, image.image.size) == ("jpeg", (32, 32))
    assert pixels_of(image)[..., 0].mean() > 240


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_decode_refuses_truncated_images(encoded: Encoded, noise: Noise, format: str) -> None:
    body = encoded(noise(64, 64), format)
    problem = refusal(body[: len(body) // 2])
    assert (problem.status, problem.kind) == (422, "broken-image")


def test_decode_refuses_a_png_whose_checksum_is_wrong(encoded: Encoded, noise: Noise) -> None:
    body = bytearray(encoded(noise(64, 64), "PNG"))
    body[body.index(b"IDAT") + 40] ^= 0xFF
    assert refusal(bytes(body)).kind == "broken-image"


@pytest.mark.parametrize("body", [b"GIF89a", b"not an image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"%PDF-1.7"])
def test_decode_refuses_what_is_no_image(body: bytes) -> None:
    problem = refusal(body)
    assert (problem.status, problem.kind) == (415, "not-an-image")


@pytest.mark.parametrize("format", ["GIF", "BMP", "TIFF"])
def test_decode_refuses_other_formats(encoded: Encoded, noise: Noise, format: str) -> None:
    problem = refusal(encoded(noise(8, 8), format))
    assert (problem.status, problem.kind) == (415, "not-an-image")


def test_decode_counts_pixels_before_it_reads_them(encoded: Encoded, noise: Noise) -> None:
    body = encoded(noise(101, 100), "PNG")
    problem = refusal(body[:60], max_pixels=10_000)  # the rest is never needed
    assert (problem.status, problem.kind) == (413, "image-too-large")
    assert "101x100" in problem.detail
    assert "10,000" in problem.detail


def test_decode_takes_exactly_the_allowed_pixels(encoded: Encoded, noise: Noise) -> None:
    assert codecs.decode(encoded(noise(100, 100), "PNG"), 10_000).image.size == (100, 100)


def test_decode_refuses_a_decompression_bomb() -> None:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")
    problem = refusal(bomb)
    assert (problem.status, problem.kind) == (413, "image-too-large")


def test_decode_has_no_limit_but_the_one_it_is_given() -> None:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 14_000, 13_000, 8, 0, 0, 0, 0))  # Pillow's is below it
    cut = b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(bytes(1000)))
    assert refusal(cut, max_pixels=200_000_000).kind == "broken-image"
    assert refusal(cut, max_pixels=181_999_999).kind == "image-too-large"


def test_decode_refuses_a_profile_of_no_length_behind_the_pixels(encoded: Encoded, noise: Noise) -> None:
    body = encoded(noise(8, 8), "PNG")
    problem = refusal(body[:-12] + png_chunk(b"iCCP", b"") + body[-12:])  # an IndexError of Pillow's
    assert (problem.status, problem.kind) == (422, "broken-image")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_decode_of_damaged_files_raises_nothing_but_problems(encoded: Encoded, noise: Noise) -> None:
    image = noise(24, 16)
    bodies = [
        encoded(image, "JPEG", exif=camera_notes()),
        encoded(image, "PNG", exif=camera_notes()),
        encoded(image, "WEBP", exif=camera_notes()),
        encoded(image.convert("P"), "PNG", transparency=3),
        encoded(image.convert("CMYK"), "JPEG", progressive=True),
        encoded(image, "MPO", save_all=True, append_images=[image]),
    ]
    dice, outcomes = random.Random(0), set()
    for turn in range(1200):
        body = bytearray(bodies[turn % len(bodies)])
        for _ in range(dice.choice([1, 2, 8])):
            body[dice.randrange(len(body))] = dice.randrange(256)
        try:
            codecs.decode(bytes(body), PLENTY)
            outcomes.add("decoded")
        except Problem as problem:
            outcomes.add(problem.kind)
    assert outcomes >= {"decoded", "broken-image", "not-an-image"}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_data_does_not_spoil_an_image(encoded: Encoded, noise: Noise, format: str) -> None:
    whole = encoded(noise(24, 16), format, exif=camera_notes())
    notes = camera_notes().tobytes()
    start = whole.index(notes[6:])  # WebP and PNG leave the first six bytes out
    dice, sizes = random.Random(0), set()
    for _ in range(1500):
        body = bytearray(whole)
        for _ in range(dice.choice([1, 2, 4])):
            body[start + dice.randrange(len(notes) - 6)] = dice.randrange(256)
        if format == "PNG":  # its checksum would give the damage away
            at = body.index(b"eXIf")
            length = struct.unpack(">I", body[at - 4 : at])[0]
            body[at + 4 + length : at + 8 + length] = struct.pack(">I", zlib.crc32(body[at : at + 4 + length]))
        sizes.add(codecs.decode(bytes(body), PLENTY).image.size)
    assert sizes == {(24, 16), (16, 24)}


@pytest.mark.parametrize("orientation", [0, 9, "6", (6, 1), 6.5])
def test_an_orientation_that_is_none_turns_nothing(
    encoded: Encoded, noise: Noise, monkeypatch: pytest.MonkeyPatch, orientation: object
) -> None:
    body = encoded(noise(24, 16), "PNG")
    monkeypatch.setattr(Image.Image, "getexif", lambda image: {0x0112: orientation})
    assert codecs.decode(body, PLENTY).image.size == (24, 16)


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


def test_slow_files_are_not_light(encoded: Encoded, noise: Noise) -> None:
    small = noise(64, 64)
    assert all(codecs.Weight.of_file(encoded(small, kind)).light for kind in ("JPEG", "PNG", "WEBP"))
    progressive = io.BytesIO()
    small.save(progressive, "JPEG", progressive=True)
    assert not codecs.Weight.of_file(progressive.getvalue()).light
    assert not codecs.Weight.of_file(encoded(Image.new("RGB", (1000, 501)), "PNG")).light
    assert codecs.Weight.of_file(encoded(Image.new("RGB", (1000, 500)), "PNG")).light
    assert not codecs.Weight.of_file(encoded(small, "PNG") + bytes(codecs.LIGHT_BYTES)).light
    assert codecs.Weight.of_file(b"no image").light
