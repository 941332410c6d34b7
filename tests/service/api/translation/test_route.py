import asyncio
import io
import tempfile
import threading
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.formparsers import MultiPartParser

from service.card import SizeRule
from service.engine.batcher import Batcher
from service.images import codecs, tiles
from service.images.codec_process import CodecProcess

pytestmark = pytest.mark.anyio

#: The tiny models: the first returns 255 - x, the second x.
INVERT, COPY = "/translate/horse2zebra", "/translate/zebra2horse"

Encoded = Callable[..., bytes]
Noise = Callable[..., Image.Image]
MakeApp = Callable[..., FastAPI]
Serve = Callable[[FastAPI], Awaitable[httpx.AsyncClient]]
ProblemOf = Callable[..., dict[str, Any]]
Send = Callable[..., Awaitable[httpx.Response]]


class Upload:
    """A body that is sent in chunks of zeros and counts how many were taken."""

    def __init__(self, chunks: int, size: int = 1000) -> None:
        self.taken, self._chunks, self._size = 0, chunks, size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self._chunks):
            self.taken += 1
            yield bytes(self._size)


async def post(
    client: httpx.AsyncClient, url: str, body: object, kind: str = "image/png", **headers: str
) -> httpx.Response:
    return await client.post(url, content=body, headers={"Content-Type": kind, **headers})


@pytest.fixture
def send(client: httpx.AsyncClient) -> Send:
    """`await send(url, body, kind="image/png", **headers)`: a raw body to an application with usual settings."""
    return lambda *arguments, **headers: post(client, *arguments, **headers)


def image_of(response: httpx.Response, format: str) -> Image.Image:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == f"image/{format.lower()}"
    image = Image.open(io.BytesIO(response.content))
    assert (image.format, image.mode) == (format, "RGB")
    return image


# what comes in, what goes out


async def test_an_image_goes_through_the_directions_model(send: Send, encoded: Encoded, noise: Noise) -> None:
    image = noise(256, 256)  # the size in the model, so that nothing is resized
    body = encoded(image, "PNG")
    inverted = image_of(await send(INVERT, body), "PNG")
    assert (np.asarray(inverted) == 255 - np.asarray(image)).all()
    copied = image_of(await send(COPY, body), "PNG")
    assert (np.asarray(copied) == np.asarray(image)).all()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
async def test_the_response_has_the_images_format(send: Send, encoded: Encoded, noise: Noise, format: str) -> None:
    response = await send(INVERT, encoded(noise(100, 80), format), f"image/{format.lower()}")
    assert image_of(response, format).size == (100, 80)


async def test_the_content_decides_the_format_not_its_label(send: Send, encoded: Encoded, noise: Noise) -> None:
    image_of(await send(INVERT, encoded(noise(9, 9), "JPEG"), "image/png"), "JPEG")


@pytest.mark.parametrize(
    "kind", ["image/*", "image/unknown", "IMAGE/PNG; charset=x", "image/jpg", "application/octet-stream", ""]
)
async def test_images_of_any_type_or_none_are_read(send: Send, encoded: Encoded, noise: Noise, kind: str) -> None:
    image_of(await send(INVERT, encoded(noise(9, 9), "PNG"), kind), "PNG")


async def test_a_multipart_form_gives_the_same_response(
    client: httpx.AsyncClient, send: Send, encoded: Encoded, noise: Noise
) -> None:
    body = encoded(noise(64, 64), "PNG")
    response = await client.post(INVERT, files={"file": ("horse.png", body)})
    assert response.content == (await send(INVERT, body)).content


async def test_a_client_that_names_no_type_is_served(client: httpx.AsyncClient, encoded: Encoded, noise: Noise) -> None:
    response = await client.post(INVERT, content=encoded(noise(9, 9), "PNG"))
    assert "content-type" not in response.request.headers
    image_of(response, "PNG")


async def test_a_part_named_file_is_a_file_though_it_has_no_filename(
    client: httpx.AsyncClient, send: Send, encoded: Encoded, noise: Noise
) -> None:
    body = encoded(noise(900, 900), "PNG")  # longer than text fields may be
    response = await client.post(INVERT, files={"file": (None, body), "format": (None, "png")})
    assert response.content == (await send(INVERT, body)).content


async def test_parameters_may_be_fields_of_the_form(
    client: httpx.AsyncClient, send: Send, encoded: Encoded, noise: Noise
) -> None:
    body = encoded(noise(200, 100), "PNG")
    fields = {"size": "64", "format": "JPG", "model": "horse2zebra/1", "detail": "off"}
    response = await client.post(f"{INVERT}?size=64", files={"file": body}, data=fields)
    image_of(response, "JPEG")
    assert response.headers["x-size"] == "64x64"
    assert response.content == (await send(f"{INVERT}?size=64&format=jpeg&detail=off", body)).content


@pytest.mark.parametrize(
    ("field", "value", "status", "kind", "reason"),
    [
        ("size", "128", 422, "invalid-parameter", "size: the body and the query differ"),
        ("size", "64.0", 422, "invalid-parameter", "size: the body and the query differ"),
        ("formt", "png", 422, "invalid-parameter", "the nearest is 'format'"),
        ("detail", "more", 422, "invalid-parameter", "'on' or 'off'"),
        ("model", "nobody", 404, "unknown-model", "'nobody'"),
    ],
)
async def test_a_bad_field_is_a_problem_that_names_it(
    client: httpx.AsyncClient,
    encoded: Encoded,
    noise: Noise,
    problem_of: ProblemOf,
    field: str,
    value: str,
    status: int,
    kind: str,
    reason: str,
) -> None:
    body = encoded(noise(9, 9), "PNG")
    response = await client.post(f"{INVERT}?size=64", files={"file": body}, data={field: value})
    assert reason in problem_of(response, status, kind)["detail"]


@pytest.mark.parametrize("coding", ["gzip", "BR", "deflate, gzip"])
async def test_an_encoded_body_is_refused_by_the_name_of_its_coding(
    send: Send, problem_of: ProblemOf, coding: str
) -> None:
    upload = Upload(5)
    response = await send(INVERT, upload, **{"Content-Encoding": coding})
    assert coding.lower() in problem_of(response, 415, "unsupported-content-encoding")["detail"]
    assert response.headers["accept-encoding"] == "identity"
    assert upload.taken == 0


async def test_identity_is_no_coding(send: Send, encoded: Encoded, noise: Noise) -> None:
    image_of(await send(INVERT, encoded(noise(9, 9), "PNG"), **{"Content-Encoding": "identity"}), "PNG")


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "JPEG", "jpg"])
async def test_the_format_parameter_decides(send: Send, encoded: Encoded, noise: Noise, format: str) -> None:
    body = encoded(noise(64, 64), "PNG")
    expected = "JPEG" if format == "jpg" else format.upper()
    image_of(await send(f"{INVERT}?format={format}", body, Accept="image/gif"), expected)


@pytest.mark.parametrize(
    ("accept", "format"),
    [
        ("application/problem+json", "PNG"),
        ("application/json", "PNG"),
        ("image/jpg", "JPEG"),
        ("image/webp", "WEBP"),
        ("image/*", "PNG"),
        ("text/html, image/jpeg;q=0.1", "JPEG"),
    ],
)
async def test_accept_decides(send: Send, encoded: Encoded, noise: Noise, accept: str, format: str) -> None:
    response = await send(INVERT, encoded(noise(64, 64), "PNG"), Accept=accept)
    image_of(response, format)
    assert response.headers["vary"] == "Accept"


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (64, 64), (333, 77), (77, 333), (2000, 10), (10, 2000), (1500, 1000)])
async def test_the_response_has_the_images_size(send: Send, encoded: Encoded, size: tuple[int, int]) -> None:
    response = image_of(await send(COPY, encoded(Image.new("RGB", size, (10, 20, 30)), "PNG")), "PNG")
    assert response.size == size
    assert response.getcolors() == [(size[0] * size[1], (10, 20, 30))]


@pytest.mark.parametrize(
    ("image", "format", "expected"),
    [
        (Image.new("L", (20, 10), 70), "PNG", (70, 70, 70)),
        (Image.new("L", (20, 10), 70), "JPEG", (70, 70, 70)),
        (Image.new("LA", (20, 10), (70, 0)), "PNG", (255, 255, 255)),
        (Image.new("RGBA", (20, 10), (10, 20, 30, 0)), "PNG", (255, 255, 255)),
        (Image.new("RGBA", (20, 10), (10, 20, 30, 255)), "WEBP", (10, 20, 30)),
        (Image.new("CMYK", (20, 10), (255, 255, 0, 0)), "JPEG", (0, 0, 255)),
        (Image.new("RGB", (20, 10), (10, 20, 30)).quantize(2), "PNG", (10, 20, 30)),
        (Image.fromarray(np.full((10, 20), 0x8000, np.uint16)), "PNG", (128, 128, 128)),
        (Image.new("1", (20, 10), 1), "PNG", (255, 255, 255)),
    ],
    ids=["grey", "grey-jpeg", "grey-alpha", "transparent", "opaque", "cmyk", "palette", "16-bit", "bitmap"],
)
async def test_every_kind_of_pixel_becomes_rgb(
    send: Send, encoded: Encoded, image: Image.Image, format: str, expected: tuple[int, int, int]
) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    response = image_of(await send(f"{COPY}?format=png", encoded(image, format, **options)), "PNG")
    assert response.size == (20, 10)
    assert np.abs(np.asarray(response).astype(int) - expected).max() <= 4  # what JPEG loses of a plain colour


async def test_a_rotated_photo_comes_back_upright(send: Send, encoded: Encoded) -> None:
    stored = Image.new("RGB", (80, 40), "red")
    stored.paste("blue", (40, 0, 80, 40))
    notes = Image.Exif()
    notes[0x0112] = 6  # to be turned clockwise: the left half comes on top
    response = image_of(await send(COPY, encoded(stored, "JPEG", exif=notes)), "JPEG")
    assert response.size == (40, 80)
    assert 0x0112 not in response.getexif()
    top, bottom = np.asarray(response)[10:30].mean(axis=(0, 1)), np.asarray(response)[50:70].mean(axis=(0, 1))
    assert top.argmax() == 0
    assert bottom.argmax() == 2


async def test_x_model_names_the_model(send: Send, encoded: Encoded, noise: Noise) -> None:
    assert (await send(INVERT, encoded(noise(9, 9), "PNG"))).headers["x-model"] == "horse2zebra/1"


async def test_model_chooses_a_variant_of_the_direction(
    tmp_path: Path, publish: Callable[..., Path], make_app: MakeApp, serve: Serve, encoded: Encoded, noise: Noise
) -> None:
    for name in ("horse2zebra", "horse2zebra-reference"):
        publish(tmp_path, name)
    client = await serve(make_app(models=tmp_path))
    response = await post(client, f"{INVERT}?model=horse2zebra-reference", encoded(noise(9, 9), "PNG"))
    assert response.headers["x-model"] == "horse2zebra-reference/1"


# the size in the model


@pytest.mark.parametrize(
    ("query", "shape"),
    [
        ("", (1, 128, 256, 3)),
        ("?size=64", (1, 64, 64, 3)),
        ("?detail=off", (1, 128, 256, 3)),
        ("?size=512", (1, 256, 512, 3)),
        ("?size=native", (1, 100, 200, 3)),
    ],
)
async def test_size_is_the_longest_side_in_the_model(
    gate: Any, make_app: MakeApp, serve: Serve, encoded: Encoded, noise: Noise, query: str, shape: tuple[int, ...]
) -> None:
    gate.opened.set()
    client = await serve(make_app())
    response = await post(client, INVERT + query, encoded(noise(200, 100), "PNG"))
    assert gate.shapes == [shape]
    assert response.headers["x-size"] == f"{shape[2]}x{shape[1]}"
    assert image_of(response, "PNG").size == (200, 100)


async def test_larger_images_are_larger_in_the_model(send: Send, encoded: Encoded, noise: Noise) -> None:
    sizes = [(await send(COPY, encoded(noise(side, side), "PNG"))).headers["x-size"] for side in (256, 257)]
    assert sizes == ["256x256", "384x384"]


# the image's detail


async def test_the_images_own_detail_comes_back(send: Send, encoded: Encoded, noise: Noise) -> None:
    image = noise(600, 400)
    response = image_of(await send(COPY, encoded(image, "PNG")), "PNG")
    assert (np.asarray(response) == np.asarray(image)).all()  # this model changes nothing


async def test_without_detail_the_models_image_is_enlarged(send: Send, encoded: Encoded, noise: Noise) -> None:
    image = noise(600, 400)
    response = image_of(await send(f"{COPY}?detail=off", encoded(image, "PNG")), "PNG")
    plain = image.resize((384, 256), Image.Resampling.BICUBIC).resize((600, 400), Image.Resampling.BICUBIC)
    assert (np.asarray(response) == np.asarray(plain)).all()


@pytest.mark.parametrize("query", ["", "&detail=on", "&detail=off"])
async def test_detail_changes_nothing_at_the_models_size(
    send: Send, encoded: Encoded, noise: Noise, query: str
) -> None:
    image = noise(256, 192)
    response = image_of(await send(f"{INVERT}?format=png{query}", encoded(image, "PNG")), "PNG")
    assert (np.asarray(response) == 255 - np.asarray(image)).all()


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
async def test_detail_is_that_of_the_decoded_image(
    send: Send, encoded: Encoded, noise: Noise, mode: str, orientation: int
) -> None:
    notes = Image.Exif()
    notes[0x0112] = orientation
    body = encoded(noise(300, 200).convert(mode), "PNG", exif=notes)
    response = image_of(await send(COPY, body), "PNG")
    assert (np.asarray(response) == np.asarray(codecs.decode(body, 10**6).image)).all()


async def test_another_detail_is_refused_before_the_body_is_read(send: Send, problem_of: ProblemOf) -> None:
    upload = Upload(5)
    problem = problem_of(await send(f"{INVERT}?detail=more", upload), 422, "invalid-parameter")
    assert "'on' or 'off'" in problem["detail"]
    assert upload.taken == 0


async def test_a_parameter_that_does_not_exist_is_refused_before_the_body_is_read(
    send: Send, problem_of: ProblemOf
) -> None:
    upload = Upload(5)
    problem = problem_of(await send(f"{INVERT}?sise=512", upload), 422, "invalid-parameter")
    assert "the nearest is 'size'" in problem["detail"]
    assert upload.taken == 0


async def test_native_keeps_every_pixel(send: Send, encoded: Encoded, noise: Noise) -> None:
    image = noise(100, 68)
    response = image_of(await send(f"{INVERT}?size=native", encoded(image, "PNG")), "PNG")
    assert (np.asarray(response) == 255 - np.asarray(image)).all()


@pytest.mark.parametrize("size", ["63", "1025", "0", "-256", "256.0", "big", "", "99999999999999999999", "²"])
async def test_a_bad_size_is_refused_before_the_body_is_read(send: Send, problem_of: ProblemOf, size: str) -> None:
    upload = Upload(5)
    detail = problem_of(await send(f"{INVERT}?size={size}", upload), 422, "invalid-parameter")["detail"]
    assert detail.startswith("size: expected 'native' or 64 to 1024")
    assert upload.taken == 0


async def test_native_beyond_the_models_pixels_is_refused(
    make_app: MakeApp, serve: Serve, encoded: Encoded, noise: Noise, problem_of: ProblemOf
) -> None:
    client = await serve(make_app(model_pixels=10_000))
    body = encoded(noise(200, 100), "PNG")
    problem = problem_of(await post(client, f"{INVERT}?size=native", body), 422, "too-many-model-pixels")
    assert "200x100" in problem["detail"]
    assert "10,000" in problem["detail"]


@pytest.fixture
def tiling_client(
    tmp_path: Path, publish: Callable[..., Path], make_app: MakeApp, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Awaitable[httpx.AsyncClient]]:
    """`await tiling_client()`: of an application whose model, an inversion, takes tiles of 80 pixels."""
    monkeypatch.setattr(tiles, "TILE_SIDE", 80)
    publish(tmp_path, "horse2zebra", size=SizeRule(multiple=4, minimum=16, receptive_radius=6))
    return lambda: serve(make_app(models=tmp_path, model_pixels=10_000, threads=2))


async def test_a_model_without_norms_gets_tiles_of_one_shape_whatever_the_images_size(
    gate: Any, tiling_client: Callable[[], Awaitable[httpx.AsyncClient]], encoded: Encoded, noise: Noise
) -> None:
    gate.opened.set()
    image, client = noise(200, 100), await tiling_client()
    response = image_of(await post(client, f"{INVERT}?size=native", encoded(image, "PNG")), "PNG")
    assert (np.asarray(response) == 255 - np.asarray(image)).all()
    assert gate.shapes == [(3, 60, 80, 3)] * 2  # a row of tiles is a batch


async def test_only_native_sizes_are_tiled(
    tiling_client: Callable[[], Awaitable[httpx.AsyncClient]], encoded: Encoded, noise: Noise, problem_of: ProblemOf
) -> None:
    client = await tiling_client()
    response = await post(client, f"{INVERT}?size=512", encoded(noise(200, 100), "PNG"))
    problem_of(response, 422, "too-many-model-pixels")


async def test_tiles_keep_the_deadline(
    gate: Any,
    tiling_client: Callable[[], Awaitable[httpx.AsyncClient]],
    encoded: Encoded,
    noise: Noise,
    problem_of: ProblemOf,
) -> None:
    client, body = await tiling_client(), encoded(noise(200, 100), "PNG")
    headers = {"X-Request-Timeout": "0.5"}  # for the first, which waits at the gate, and for the second's turn
    responses = await asyncio.gather(*(post(client, f"{INVERT}?size=native", body, **headers) for _ in range(2)))
    for response in responses:
        problem_of(response, 504, "deadline-exceeded")
    gate.opened.set()
    assert (await post(client, f"{INVERT}?size=native", body)).status_code == 200


# what is refused


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
async def test_a_truncated_image_is_refused(
    send: Send, encoded: Encoded, noise: Noise, problem_of: ProblemOf, format: str
) -> None:
    body = encoded(noise(64, 64), format)
    problem_of(await send(INVERT, body[: len(body) // 2]), 422, "broken-image")


async def test_what_is_no_image_is_refused(send: Send, problem_of: ProblemOf) -> None:
    problem_of(await send(INVERT, b"a horse"), 415, "not-an-image")


def scans(count: int, size: tuple[int, int]) -> bytes:
    """A JPEG with `count` further passes over its pixels."""
    buffer = io.BytesIO()
    Image.new("L", size, 200).save(buffer, "JPEG", progressive=True)
    body = buffer.getvalue()
    return body[:-2] + count * body[body.rindex(b"\xff\xda") : -2] + body[-2:]


def with_chunks(count: int, body: bytes) -> bytes:
    """The PNG with `count` empty chunks before its pixels."""
    return body[:33] + count * (b"\0\0\0\0teSt" + zlib.crc32(b"teSt").to_bytes(4)) + body[33:]


async def test_files_that_are_made_to_take_long_are_refused_at_once(
    make_app: Callable[..., FastAPI],
    serve: Callable[[FastAPI], Awaitable[httpx.AsyncClient]],
    encoded: Encoded,
    noise: Noise,
    problem_of: ProblemOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None of them gets as far as a decoder, in the service or in a process."""

    def no_decoder(*arguments: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(codecs, "decode", no_decoder)
    monkeypatch.setattr(CodecProcess, "run", no_decoder)
    client, small = await serve(make_app()), encoded(noise(64, 64), "PNG")
    tall = small[:16] + (1).to_bytes(4) + (20_000_000).to_bytes(4) + small[24:]
    for body, status, kind in (
        (scans(3000, (4400, 4400)), 422, "image-too-costly"),
        (with_chunks(20_000, small), 422, "image-too-costly"),
        (with_chunks(800_000, small), 422, "image-too-costly"),
        (tall, 413, "image-too-large"),
    ):
        problem_of(await post(client, INVERT, body), status, kind)
    metrics = (await client.get("/metrics")).text
    assert 'gan_codec_refusals_total{reason="costly"} 3.0' in metrics


async def test_a_heic_photograph_is_refused_with_what_to_do(send: Send, problem_of: ProblemOf) -> None:
    detail = problem_of(await send(INVERT, b"\0\0\0\x18ftypheic" + bytes(50), "image/heic"), 415, "not-an-image")[
        "detail"
    ]
    assert "HEIC file" in detail
    assert "convert it to JPEG" in detail


@pytest.mark.parametrize("format", ["GIF", "BMP", "TIFF", "AVIF", "WEBP", "PNG"])
async def test_the_first_image_of_a_rarer_format_is_translated(send: Send, encoded: Encoded, format: str) -> None:
    several = {} if format == "BMP" else {"save_all": True, "append_images": [Image.new("RGB", (64, 64), "red")]}
    response = await send(INVERT, encoded(Image.new("RGB", (64, 64), "black"), format, **several), f"image/{format}")
    assert response.status_code == 200
    assert response.headers["content-type"] == ("image/webp" if format == "WEBP" else "image/png")
    assert np.asarray(Image.open(io.BytesIO(response.content)).convert("RGB")).min() > 250


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/x-www-form-urlencoded"])
async def test_another_content_type_is_refused_before_the_body_is_read(
    send: Send, problem_of: ProblemOf, kind: str
) -> None:
    upload = Upload(5)
    problem = problem_of(await send(INVERT, upload, kind), 415, "unsupported-media-type")
    assert kind in problem["detail"]
    assert upload.taken == 0


async def test_an_empty_body_is_refused(send: Send, problem_of: ProblemOf) -> None:
    problem_of(await send(INVERT, b""), 422, "empty-body")


async def test_an_empty_file_is_refused(client: httpx.AsyncClient, problem_of: ProblemOf) -> None:
    problem_of(await client.post(INVERT, files={"file": b""}), 422, "empty-body")


@pytest.mark.parametrize("form", [{"files": {"image": b"x"}}, {"files": {"image": b""}, "data": {"size": "64"}}])
async def test_a_form_without_the_file_is_refused(
    client: httpx.AsyncClient, problem_of: ProblemOf, form: dict[str, Any]
) -> None:
    detail = problem_of(await client.post(INVERT, **form), 422, "missing-file")["detail"]
    assert "'image'" in detail
    assert "'file'" in detail


async def test_a_form_with_more_files_than_a_hundred_is_refused(
    client: httpx.AsyncClient, problem_of: ProblemOf
) -> None:
    response = await client.post(INVERT, files=[("file", b"x")] * 101)
    detail = problem_of(response, 400, "bad-multipart")["detail"]
    assert "Too many files. Maximum number of files is 100." in detail


async def test_a_file_in_another_field_is_refused(client: httpx.AsyncClient, problem_of: ProblemOf) -> None:
    response = await client.post(INVERT, files=[("file", b"x"), ("mask", b"y")])
    assert "'mask'" in problem_of(response, 422, "invalid-parameter")["detail"]


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=a",
        "multipart/form-data; charset=undefined; boundary=a",
        "multipart/form-data; charset=utf-8\0; boundary=a",
    ],
)
async def test_a_broken_form_is_refused(send: Send, problem_of: ProblemOf, kind: str) -> None:
    form = b'--a\r\nContent-Disposition: form-data; name="x"\r\n\r\ny\r\n--a--\r\n'
    problem_of(await send(INVERT, form if "charset" in kind else b"no form", kind), 400, "bad-multipart")


async def test_too_many_pixels_are_refused(
    make_app: MakeApp, serve: Serve, encoded: Encoded, noise: Noise, problem_of: ProblemOf
) -> None:
    client = await serve(make_app(image_pixels=10_000))
    problem = problem_of(await post(client, INVERT, encoded(noise(101, 100), "PNG")), 413, "image-too-large")
    assert "101x100" in problem["detail"]
    assert (await post(client, INVERT, encoded(noise(100, 100), "PNG"))).status_code == 200


@pytest.mark.parametrize(("query", "accept"), [("?format=webp", "*/*"), ("", "image/webp")])
async def test_an_image_too_long_for_the_format_asked_is_refused(
    send: Send, encoded: Encoded, problem_of: ProblemOf, query: str, accept: str
) -> None:
    response = await send(INVERT + query, encoded(Image.new("L", (16_384, 1)), "PNG"), Accept=accept)
    assert "16,383" in problem_of(response, 422, "too-long-for-format")["detail"]


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("kind", ["image/png", "multipart/form-data; boundary=a"])
async def test_a_body_over_the_limit_is_refused_unread(
    make_app: MakeApp, serve: Serve, problem_of: ProblemOf, kind: str, announced: bool
) -> None:
    client, upload = await serve(make_app(body_bytes=5000)), Upload(100)
    headers = {"Content-Length": "100000"} if announced else {}
    if "boundary" in kind:
        upload = FormUpload(100)
    response = await post(client, INVERT, upload, kind, **headers)
    assert "5,000 bytes" in problem_of(response, 413, "body-too-large")["detail"]
    assert upload.taken == (0 if announced else 6)


class FormUpload(Upload):
    """The same as the file of a form."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        head = b'--a\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        async for chunk in super().__aiter__():
            yield (head + chunk)[: len(chunk)] if self.taken == 1 else chunk


async def test_an_unknown_direction_is_a_problem_that_lists_them_whatever_the_body(
    send: Send, problem_of: ProblemOf
) -> None:
    upload = Upload(1_000_000)
    problem = problem_of(await send("/translate/cat2dog?size=nonsense", upload, "x/y"), 404, "unknown-direction")
    assert problem["available"] == ["horse2zebra", "zebra2horse"]
    assert "horse2zebra, zebra2horse" in problem["detail"]
    assert upload.taken == 0


@pytest.mark.parametrize("model", ["horse2zebra/2", "zebra2horse", "mnist"])
async def test_an_unknown_model_is_a_problem_that_lists_the_directions(
    send: Send, problem_of: ProblemOf, model: str
) -> None:
    upload = Upload(5)
    problem = problem_of(await send(f"{INVERT}?model={model}", upload), 404, "unknown-model")
    assert problem["available"] == ["horse2zebra/1"]
    assert upload.taken == 0


async def test_an_unknown_format_is_a_problem(send: Send, problem_of: ProblemOf) -> None:
    detail = problem_of(await send(f"{INVERT}?format=gif", b""), 422, "invalid-parameter")["detail"]
    assert detail.startswith("format: ")


async def test_an_accept_that_admits_nothing_is_a_problem(
    send: Send, encoded: Encoded, noise: Noise, problem_of: ProblemOf
) -> None:
    problem_of(await send(INVERT, encoded(noise(9, 9), "PNG"), Accept="image/gif"), 406, "not-acceptable")


# what happens under load


async def test_images_that_wait_together_run_together_and_come_back_apart(
    gate: Any, make_app: MakeApp, serve: Serve, encoded: Encoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, submitted = Batcher.submit, []

    async def noted(batcher: Batcher, inputs: np.ndarray, seconds: float, reserved: bool) -> np.ndarray:
        submitted.append(batcher)
        return await submit(batcher, inputs, seconds, reserved)

    monkeypatch.setattr(Batcher, "submit", noted)
    client = await serve(make_app(batch_pictures=16))
    bodies = [encoded(Image.new("RGB", (256, 256), (grey, grey, grey)), "PNG") for grey in range(5)]
    requests = [asyncio.create_task(post(client, INVERT, bodies[0]))]
    await gate.reached()
    requests += [asyncio.create_task(post(client, INVERT, body)) for body in bodies[1:]]
    async with asyncio.timeout(30):
        while len(submitted) < 5:  # noqa: ASYNC110 - decoded, too: the depth would count them before
            await asyncio.sleep(0.01)
    gate.opened.set()
    responses = [image_of(response, "PNG") for response in await asyncio.gather(*requests)]
    assert [response.getpixel((100, 100)) for response in responses] == [(255 - grey,) * 3 for grey in range(5)]
    assert [shape[0] for shape in gate.shapes] == [1, 4]


async def until_depth(client: httpx.AsyncClient, depth: int) -> None:
    """Waits until as many requests wait for horse2zebra."""
    async with asyncio.timeout(30):
        while f'gan_queue_depth{{model="horse2zebra/1"}} {float(depth)}' not in (await client.get("/metrics")).text:
            pass


async def test_a_full_queue_is_a_503_before_the_body_is_read(
    gate: Any, make_app: MakeApp, serve: Serve, encoded: Encoded, noise: Noise, problem_of: ProblemOf
) -> None:
    client, body = await serve(make_app(queue_size=1)), encoded(noise(64, 64), "PNG")
    running = asyncio.create_task(post(client, INVERT, body))
    await gate.reached()
    waiting = asyncio.create_task(post(client, INVERT, body))
    await until_depth(client, 1)
    upload = Upload(5)
    response = await post(client, INVERT, upload)
    problem_of(response, 503, "queue-full")
    assert int(response.headers["retry-after"]) >= 1
    assert upload.taken == 0
    other = asyncio.create_task(post(client, COPY, body))  # another model has its own queue
    gate.opened.set()
    assert [(await request).status_code for request in (running, waiting, other)] == [200, 200, 200]


async def test_an_arriving_body_blocks_no_other_request(
    make_app: MakeApp, serve: Serve, encoded: Encoded, noise: Noise
) -> None:
    client, body, rest = await serve(make_app(queue_size=1)), encoded(noise(64, 64), "PNG"), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield body[:100]
        await rest.wait()
        yield body[100:]

    slow = asyncio.create_task(post(client, INVERT, slowly()))
    await asyncio.sleep(0.05)
    assert (await post(client, INVERT, body)).status_code == 200
    rest.set()
    assert (await slow).status_code == 200


async def test_an_image_that_is_being_decoded_has_a_place_in_the_queue(
    make_app: MakeApp,
    serve: Serve,
    encoded: Encoded,
    noise: Noise,
    problem_of: ProblemOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, body = await serve(make_app(queue_size=1)), encoded(noise(64, 64), "PNG")
    decode, reached, opened = codecs.decode, threading.Event(), threading.Event()

    def slow_decode(*arguments: Any) -> codecs.Decoded:
        reached.set()
        assert opened.wait(30)
        return decode(*arguments)

    monkeypatch.setattr(codecs, "decode", slow_decode)
    first = asyncio.create_task(post(client, INVERT, body))
    assert await asyncio.to_thread(reached.wait, 30)
    problem_of(await post(client, INVERT, body), 503, "queue-full")
    opened.set()
    assert (await first).status_code == 200


async def test_time_that_the_body_took_is_not_given_to_the_model_again(
    make_app: MakeApp, serve: Serve, encoded: Encoded, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, body, left = await serve(make_app()), encoded(noise(64, 64), "PNG"), []
    submit = Batcher.submit

    async def note(batcher: Batcher, rows: np.ndarray, seconds: float, reserved: bool) -> np.ndarray:
        left.append(seconds)
        return await submit(batcher, rows, seconds, reserved)

    async def slowly() -> AsyncIterator[bytes]:
        yield body[:100]
        await asyncio.sleep(0.2)
        yield body[100:]

    monkeypatch.setattr(Batcher, "submit", note)
    assert (await post(client, INVERT, slowly(), **{"X-Request-Timeout": "20"})).status_code == 200
    assert left[0] <= 19.8


async def test_a_body_that_does_not_arrive_is_a_408(make_app: MakeApp, serve: Serve, problem_of: ProblemOf) -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b"begun"
        await asyncio.sleep(60)

    client = await serve(make_app(timeout_seconds=0.05))
    response = await post(client, INVERT, never())
    assert "0.05 s" in problem_of(response, 408, "body-too-slow")["detail"]
    assert response.headers["connection"] == "close"


async def test_a_result_after_the_deadline_is_a_504(
    gate: Any, make_app: MakeApp, serve: Serve, encoded: Encoded, noise: Noise, problem_of: ProblemOf
) -> None:
    client = await serve(make_app(timeout_seconds=0.05))
    problem = problem_of(await post(client, INVERT, encoded(noise(64, 64), "PNG")), 504, "deadline-exceeded")
    assert "0.05 s" in problem["detail"]


@pytest.mark.parametrize(("asked", "seconds"), [("0.05", "0.05 s"), ("3600", "0.2 s")])
async def test_the_client_may_ask_for_less_time_not_for_more(
    gate: Any,
    make_app: MakeApp,
    serve: Serve,
    encoded: Encoded,
    noise: Noise,
    problem_of: ProblemOf,
    asked: str,
    seconds: str,
) -> None:
    client = await serve(make_app(timeout_seconds=0.2))
    response = await post(client, INVERT, encoded(noise(64, 64), "PNG"), **{"X-Request-Timeout": asked})
    assert seconds in problem_of(response, 504, "deadline-exceeded")["detail"]


@pytest.mark.parametrize("asked", ["0", "-1", "soon", "nan", "inf", ""])
async def test_a_time_that_is_none_is_refused_before_the_body_is_read(
    send: Send, problem_of: ProblemOf, asked: str
) -> None:
    upload = Upload(5)
    problem = problem_of(await send(INVERT, upload, **{"X-Request-Timeout": asked}), 422, "invalid-parameter")
    assert problem["detail"].startswith("x-request-timeout: ")
    assert upload.taken == 0


async def test_a_failing_model_is_a_500_that_tells_nothing_of_its_insides(
    gate: Any, make_app: MakeApp, serve: Serve, encoded: Encoded, noise: Noise, problem_of: ProblemOf
) -> None:
    client = await serve(make_app())
    gate.error = RuntimeError("secret")
    gate.opened.set()
    response = await post(client, INVERT, encoded(noise(64, 64), "PNG"))
    problem_of(response, 500, "inference-failed")
    assert not any(word in response.text for word in ("secret", "Traceback", "RuntimeError", ".py"))


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Temporary files lie on a device that has no room, as the system says of it."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full: this needs Linux")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda *args, **kwargs: full.open("w+b", buffering=0))


@pytest.mark.usefixtures("full_disk")
async def test_uploads_and_responses_need_no_room_on_a_disk(
    client: httpx.AsyncClient, encoded: Encoded, noise: Noise
) -> None:
    image = encoded(noise(1000, 1000), "PNG")
    assert len(image) > MultiPartParser.spool_max_size
    response = await client.post(INVERT, files={"file": image})
    assert image_of(response, "PNG").size == (1000, 1000)
