import io
import random
import re
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile

from imaging import DamagedError, Decoded, ImageError, TooCostlyError, TooLargeError, UnsupportedError, decode

Encoded = Callable[..., bytes]
Noise = Callable[..., Image.Image]
PLENTY = 10**7


def pixels_of(image: Decoded) -> np.ndarray:
    assert image.image.mode == "RGB"
    return np.asarray(image.image)


def refusal(body: bytes, max_pixels: int = PLENTY) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode(body, max_pixels)
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
    [("PNG", {}, "PNG"), ("WEBP", {"lossless": True}, "WEBP"), ("JPEG", {}, "JPEG"), ("BMP", {}, "BMP")],
)
def test_decode_names_the_format(encoded: Encoded, noise: Noise, format: str, options: dict, kind: str) -> None:
    image = decode(encoded(noise(30, 20), format, **options), PLENTY)
    assert (image.format, image.image.size) == (kind, (30, 20))


@pytest.mark.parametrize(
    ("format", "options"),
    [("PNG", {}), ("WEBP", {"lossless": True}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})],
)
def test_decode_keeps_every_pixel(encoded: Encoded, noise: Noise, format: str, options: dict) -> None:
    image = noise(30, 20)
    assert (pixels_of(decode(encoded(image, format, **options), PLENTY)) == np.asarray(image)).all()


def test_decode_reads_grey(encoded: Encoded) -> None:
    assert (pixels_of(decode(encoded(Image.new("L", (4, 4), 77), "PNG"), PLENTY)) == 77).all()


def test_decode_reads_black_and_white(encoded: Encoded) -> None:
    assert (pixels_of(decode(encoded(Image.new("1", (4, 4), 1), "PNG"), PLENTY)) == 255).all()


def test_decode_reads_cmyk(encoded: Encoded) -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan, all magenta and yellow: red
    red, green, blue = pixels_of(decode(encoded(image, "JPEG"), PLENTY)).mean(axis=(0, 1))
    assert red > 240
    assert max(green, blue) < 15


def test_decode_reads_a_palette(encoded: Encoded) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert (pixels_of(decode(encoded(image, "PNG"), PLENTY)) == (10, 20, 30)).all()


def test_decode_lays_transparent_colours_of_a_palette_on_white(encoded: Encoded) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert (pixels_of(decode(encoded(image, "PNG", transparency=1), PLENTY)) == 255).all()


@pytest.mark.parametrize(("alpha", "expected"), [(0, 255), (255, 100), (128, 177)])
@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_decode_lays_transparency_on_white(encoded: Encoded, format: str, alpha: int, expected: int) -> None:
    image = Image.new("RGBA", (4, 4), (100, 100, 100, alpha))
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    pixels = pixels_of(decode(encoded(image, format, **options), PLENTY))
    assert np.abs(pixels.astype(int) - expected).max() <= 1


def test_decode_scales_16_bits_to_8(encoded: Encoded) -> None:
    image = Image.fromarray(np.array([[0, 0x7FFF, 0x8000, 0xFFFF]], dtype=np.uint16))
    assert pixels_of(decode(encoded(image, "PNG"), PLENTY))[0, :, 0].tolist() == [0, 127, 128, 255]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize(
    ("orientation", "place"),
    [(1, (0, 0)), (2, (0, 1)), (3, (1, 1)), (4, (1, 0)), (5, (0, 0)), (6, (0, 1)), (7, (1, 1)), (8, (1, 0))],
)
def test_decode_turns_an_image_upright(encoded: Encoded, format: str, orientation: int, place: tuple[int, int]) -> None:
    stored = np.zeros((64, 96, 3), np.uint8)
    stored[:32, :48] = 255  # the upper left quarter as stored
    image = decode(encoded(Image.fromarray(stored), format, exif=exif(orientation)), PLENTY)
    assert image.image.size == ((96, 64) if orientation < 5 else (64, 96))
    height, width = (64, 96) if orientation < 5 else (96, 64)
    quarters = pixels_of(image).reshape(2, height // 2, 2, width // 2, 3).mean(axis=(1, 3, 4))
    assert np.unravel_index(quarters.argmax(), (2, 2)) == place


@pytest.mark.parametrize("format", ["PNG", "WEBP", "GIF", "AVIF", "TIFF"])
def test_decode_takes_the_first_image_of_several(encoded: Encoded, format: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "lime")]
    image = decode(encoded(frames[0], format, save_all=True, append_images=frames[1:]), PLENTY)
    assert np.abs(pixels_of(image).astype(int) - (255, 0, 0)).max() <= 3


def test_decode_takes_the_photo_of_a_multi_image_jpeg(encoded: Encoded) -> None:
    # what cameras write with a preview behind the photo
    photo, preview = Image.new("RGB", (32, 32), "red"), Image.new("RGB", (8, 8), "blue")
    image = decode(encoded(photo, "MPO", save_all=True, append_images=[preview]), PLENTY)
    assert (image.format, image.image.size) == ("JPEG", (32, 32))
    assert pixels_of(image)[..., 0].mean() > 240


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_decode_refuses_truncated_images(encoded: Encoded, noise: Noise, format: str) -> None:
    body = encoded(noise(64, 64), format)
    assert isinstance(refusal(body[: len(body) // 2]), DamagedError)


def test_decode_refuses_a_png_whose_checksum_is_wrong(encoded: Encoded, noise: Noise) -> None:
    body = bytearray(encoded(noise(64, 64), "PNG"))
    body[body.index(b"IDAT") + 40] ^= 0xFF
    assert isinstance(refusal(bytes(body)), DamagedError)


@pytest.mark.parametrize("body", [b"", b"not an image", b"\x89PNX\r\n\x1a\n", b"\xff\xd9", b"RIFF1234WAVE"])
def test_decode_refuses_what_is_no_image(body: bytes) -> None:
    error = refusal(body)
    assert isinstance(error, UnsupportedError)
    assert re.fullmatch("the file does not begin as a .* image does: send one, or convert the file to one", str(error))


@pytest.mark.parametrize("body", [b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"BM\0\0\0\0\0\0\0\0", b"II*\0"])
def test_decode_refuses_a_head_without_an_image(body: bytes) -> None:
    assert isinstance(refusal(body), DamagedError)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC file.*convert it to JPEG"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC file.*convert it to JPEG"),
        (b"II*\0\x10\0\0\0CR\x02\0", "camera raw"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"8BPS\0\1", "Photoshop"),
        (b"%PDF-1.7", "PDF"),
        (b'<?xml version="1.0"?>\n<svg xmlns=', "SVG"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"\0\0\0\x18ftypisom", "video"),
        (b"\0\0\1\0\1\0", "icon"),
    ],
)
def test_decode_names_the_format_that_it_refuses(body: bytes, words: str) -> None:
    with pytest.raises(UnsupportedError, match=words):
        decode(body, PLENTY)


def test_decode_counts_pixels_before_it_reads_them(encoded: Encoded, noise: Noise) -> None:
    body = encoded(noise(101, 100), "PNG")
    with pytest.raises(TooLargeError, match="101x100, but at most 10,000 pixels"):
        decode(body[:60], 10_000)  # the rest is never needed


def test_decode_takes_exactly_the_allowed_pixels(encoded: Encoded, noise: Noise) -> None:
    assert decode(encoded(noise(100, 100), "PNG"), 10_000).image.size == (100, 100)


def test_decode_refuses_a_decompression_bomb() -> None:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")
    assert isinstance(refusal(bomb), TooLargeError)


def test_decode_has_no_limit_but_the_one_it_is_given() -> None:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 14_000, 13_000, 8, 0, 0, 0, 0))  # Pillow's is below it
    cut = b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(bytes(1000)))
    assert isinstance(refusal(cut, max_pixels=200_000_000), DamagedError)
    assert isinstance(refusal(cut, max_pixels=181_999_999), TooLargeError)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_decode_of_damaged_files_raises_no_other_errors(encoded: Encoded, noise: Noise) -> None:
    image = noise(24, 16)
    bodies = [
        encoded(image, "JPEG", exif=camera_notes()),
        encoded(image, "PNG", exif=camera_notes()),
        encoded(image, "WEBP", exif=camera_notes()),
        encoded(image.convert("P"), "PNG", transparency=3),
        encoded(image.convert("CMYK"), "JPEG", progressive=True),
        encoded(image, "MPO", save_all=True, append_images=[image]),
        *(encoded(image, kind) for kind in ("GIF", "BMP", "AVIF")),
        *(encoded(image, "TIFF", compression=kind) for kind in ("raw", "tiff_lzw", "jpeg", "tiff_adobe_deflate")),
        encoded(image, "PNG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
    ]
    dice, outcomes = random.Random(0), set()
    for turn in range(3000):
        body = bytearray(bodies[turn % len(bodies)])
        for _ in range(dice.choice([1, 2, 8])):
            body[dice.randrange(len(body))] = dice.randrange(256)
        try:
            decode(bytes(body), PLENTY)
            outcomes.add("decoded")
        except ImageError as error:
            outcomes.add(type(error).__name__)
    assert outcomes >= {"decoded", "DamagedError", "UnsupportedError"}


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
        sizes.add(decode(bytes(body), PLENTY).image.size)
    assert sizes == {(24, 16), (16, 24)}


@pytest.mark.parametrize("orientation", [0, 9, "6", (6, 1), 6.5])
def test_an_orientation_that_is_none_turns_nothing(
    encoded: Encoded, noise: Noise, monkeypatch: pytest.MonkeyPatch, orientation: object
) -> None:
    body = encoded(noise(24, 16), "PNG")
    monkeypatch.setattr(Image.Image, "getexif", lambda image: {0x0112: orientation})
    assert decode(body, PLENTY).image.size == (24, 16)


# pixels of other kinds


def png(width: int, depth: int, colours: int, row: bytes, *chunks: bytes) -> bytes:
    """A PNG of one row."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, depth, colours, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + png_chunk(b"IEND", b"")


def trns(*levels: int) -> bytes:
    return png_chunk(b"tRNS", struct.pack(f">{len(levels)}H", *levels))


def test_a_transparent_level_of_16_bits_is_laid_on_white() -> None:
    row = struct.pack(">3H", 0x6464, 0x6465, 0)
    assert pixels_of(decode(png(3, 16, 0, row, trns(0x6464)), PLENTY))[0, :, 0].tolist() == [255, 0x64, 0]


def test_a_transparent_colour_of_16_bits_is_laid_on_white() -> None:
    row = struct.pack(">6H", 0x6464, 0x1234, 0x4321, 0x0000, 0x1234, 0x4321)
    pixels = pixels_of(decode(png(2, 16, 2, row, trns(0x6464, 0x1234, 0x4321)), PLENTY))
    assert pixels[0].tolist() == [[255, 255, 255], [0, 0x12, 0x43]]


@pytest.mark.parametrize(("depth", "row", "grey"), [(1, 0x40, 0), (2, 0x10, 0), (4, 0x01, 0), (4, 0x21, 34)])
def test_a_transparent_level_of_few_bits_is_laid_on_white(depth: int, row: int, grey: int) -> None:
    pixels = pixels_of(decode(png(2, depth, 0, bytes([row]), trns(1)), PLENTY))
    assert pixels[0, :, 0].tolist() == [grey, 255]


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_a_tiff_of_16_bits_is_scaled(encoded: Encoded, mode: str) -> None:
    levels = np.array([[0, 0x7FFF, 0x8000, 0xFFFF]], dtype="<u2" if mode == "I;16" else ">u2")
    body = encoded(Image.frombytes(mode, (4, 1), levels.tobytes()), "TIFF")
    assert pixels_of(decode(body, PLENTY))[0, :, 0].tolist() == [0, 127, 128, 255]


@pytest.mark.parametrize("mode", ["1", "L", "I;16"])
def test_a_tiff_whose_white_is_zero_is_inverted(encoded: Encoded, mode: str) -> None:
    image = Image.new(mode, (4, 4), 0xFFFF if mode == "I;16" else 255)
    body = bytearray(encoded(image, "TIFF"))
    photometric = body.index(struct.pack("<HHI", 262, 3, 1)) + 8
    body[photometric] = 0
    assert (pixels_of(decode(bytes(body), PLENTY)) == 0).all()


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_of_32_bits_are_refused_by_name(encoded: Encoded, mode: str) -> None:
    with pytest.raises(UnsupportedError, match="32 bits a channel"):
        decode(encoded(Image.new(mode, (4, 4)), "TIFF"), PLENTY)


@pytest.mark.parametrize(
    ("format", "mode"),
    [("TIFF", mode) for mode in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB")]
    + [("BMP", mode) for mode in ("1", "L", "P", "RGB", "RGBA")]
    + [("GIF", mode) for mode in ("1", "L", "P", "RGB", "RGBA")]
    + [("AVIF", mode) for mode in ("L", "RGB", "RGBA")],
)
def test_every_mode_of_every_format_keeps_its_colours(encoded: Encoded, format: str, mode: str) -> None:
    colour = Image.new(
        "RGB", (16, 16), "white" if mode == "1" else (90, 90, 90) if mode in ("L", "LA") else (255, 0, 0)
    )
    if mode == "LAB":
        profiles = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
        image = ImageCms.profileToProfile(colour, *profiles, outputMode="LAB")
    else:
        image = colour.convert("P").convert("PA") if mode == "PA" else colour.convert(mode)
    found = pixels_of(decode(encoded(image, format), PLENTY)).astype(int)
    assert np.abs(found - np.asarray(colour)).max() <= 6


def test_transparency_of_a_gif_is_laid_on_white(encoded: Encoded) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert (pixels_of(decode(encoded(image, "GIF", transparency=1), PLENTY)) == 255).all()


def test_a_tiff_of_a_rare_compression_is_refused_by_its_number(encoded: Encoded, noise: Noise) -> None:
    with pytest.raises(UnsupportedError, match="compression 34925: save it uncompressed"):
        decode(encoded(noise(8, 8), "TIFF", compression="lzma"), PLENTY)


def test_a_bmp_of_run_lengths_is_refused_by_name(encoded: Encoded) -> None:
    body = bytearray(encoded(Image.new("L", (8, 8)), "BMP"))
    body[30] = 1
    with pytest.raises(UnsupportedError, match="run-length codes: save it uncompressed"):
        decode(bytes(body), PLENTY)


def test_a_jpeg_of_12_bits_is_refused_by_name(encoded: Encoded, noise: Noise) -> None:
    body = bytearray(encoded(noise(8, 8), "JPEG"))
    body[body.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(UnsupportedError, match="12 bits a channel"):
        decode(bytes(body), PLENTY)


# damage that does not matter


@pytest.fixture
def drawing() -> Image.Image:
    """Smooth shapes."""
    small = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((160, 120), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_jpeg_without_its_end_is_served(encoded: Encoded, drawing: Image.Image, mode: str, progressive: bool) -> None:
    body = encoded(drawing.convert(mode), "JPEG", progressive=progressive, quality=90)
    whole = pixels_of(decode(body, PLENTY)).astype(int)
    for cut in (1, 2):
        assert np.abs(pixels_of(decode(body[:-cut], PLENTY)) - whole).mean() < 1
    most = body[: len(body) * 95 // 100]
    assert np.abs(pixels_of(decode(most, PLENTY)) - whole)[:100].mean() < 2


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_a_jpeg_without_much_of_its_data_is_refused(
    encoded: Encoded, drawing: Image.Image, progressive: bool, share: float
) -> None:
    body = encoded(drawing, "JPEG", progressive=progressive, quality=90)
    for small in (None, lambda width, height: (10, 8)):
        with pytest.raises(DamagedError, match="cut off"):
            decode(body[: int(len(body) * share)], PLENTY, small)


def test_a_grey_jpeg_is_not_mistaken_for_a_cut_one(encoded: Encoded) -> None:
    assert (pixels_of(decode(encoded(Image.new("L", (64, 64), 128), "JPEG"), PLENTY)) == 128).all()


ANCILLARY = (b"tEXt", b"zTXt", b"iTXt", b"tIME", b"pHYs", b"gAMA", b"cHRM", b"sRGB", b"bKGD", b"iCCP", b"eXIf", b"tRNS")


@pytest.mark.parametrize("kind", [*ANCILLARY, b"acTL", b"fcTL", b"sPLT", b"hIST", b"sBIT", b"cICP", b"zzZz"])
def test_a_chunk_that_the_image_does_not_need_may_be_damaged(encoded: Encoded, noise: Noise, kind: bytes) -> None:
    image = noise(24, 16)
    body = encoded(image, "PNG")
    for content in (b"", b"abc\0\0def", bytes(40)):
        sound = png_chunk(kind, content)
        for chunk in (sound, sound[:-4] + b"oops"):
            for place in (33, len(body) - 12):
                if kind != b"tRNS" or chunk != sound:
                    assert (pixels_of(decode(body[:place] + chunk + body[place:], PLENTY)) == np.asarray(image)).all()


def test_large_texts_of_a_png_are_passed_over(encoded: Encoded, noise: Noise) -> None:
    image = noise(24, 16)
    body = encoded(image, "PNG")
    text = png_chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(2**21)))
    assert (pixels_of(decode(body[:33] + 60 * text + body[33:], PLENTY)) == np.asarray(image)).all()


def test_a_png_may_lack_its_end(encoded: Encoded, noise: Noise) -> None:
    image = noise(24, 16)
    body = encoded(image, "PNG")
    for cut in (1, 4, 12):
        assert (pixels_of(decode(body[:-cut], PLENTY)) == np.asarray(image)).all()


def test_a_palette_png_without_palette_is_refused_by_that_name() -> None:
    with pytest.raises(DamagedError, match="no palette"):
        decode(png(4, 8, 3, bytes(4)), PLENTY)


# files that are made to take long


def test_a_jpeg_of_many_scans_is_refused(encoded: Encoded) -> None:
    body = encoded(Image.new("L", (64, 64), 200), "JPEG", progressive=True)
    last = body[body.rindex(b"\xff\xda") : -2]
    assert decode(body[:-2] + 50 * last + b"\xff\xd9", PLENTY).size == (64, 64)
    with pytest.raises(TooCostlyError, match="more than 64 scans"):
        decode(body[:-2] + 64 * last + b"\xff\xd9", PLENTY)


def test_a_jpeg_of_many_segments_is_refused(encoded: Encoded, noise: Noise) -> None:
    body = encoded(noise(8, 8), "JPEG")
    comment = b"\xff\xfe\0\2"
    assert decode(body[:2] + 1000 * comment + body[2:], PLENTY).size == (8, 8)
    for junk in (comment, b"\xff", b"\xff\x01"):
        with pytest.raises(TooCostlyError, match="segments"):
            decode(body[:2] + 3000 * junk + body[2:], PLENTY)


@pytest.mark.parametrize("kind", [b"tEXt", b"IDAT", b"zzZz"])
def test_a_png_of_many_chunks_is_refused(encoded: Encoded, noise: Noise, kind: bytes) -> None:
    body = encoded(noise(8, 8), "PNG")
    assert decode(body[:33] + 900 * png_chunk(b"tEXt", b"") + body[33:], PLENTY).size == (8, 8)
    with pytest.raises(TooCostlyError, match=r"more than 1,\d+ chunks"):
        decode(body[:33] + 20_000 * png_chunk(kind, b"") + body[33:], PLENTY)


@pytest.mark.parametrize("size", [(1, 20_000_000), (20_000_000, 1), (65_536, 2)])
def test_a_side_has_a_limit(size: tuple[int, int]) -> None:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0))
    with pytest.raises(TooLargeError, match="a side has at most 65,535"):
        decode(b"\x89PNG\r\n\x1a\n" + header, 10**9)


def test_nothing_of_the_decoder_is_global(encoded: Encoded, noise: Noise) -> None:
    """Whoever else uses Pillow in the process finds it as strict as it was."""
    decode(encoded(noise(64, 64), "JPEG")[:-2], PLENTY)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"comment": b"SECRET"}), ("GIF", {"comment": b"SECRET"})])
def test_nothing_of_the_file_but_its_pixels_stays(kind: str, options: dict[str, bytes]) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), "brown").save(buffer, kind, exif=exif(6), **options)
    assert b"SECRET" in buffer.getvalue()
    assert decode(buffer.getvalue(), PLENTY).image.info == {}
