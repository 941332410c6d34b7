"""Images in JSON: what comes in, what goes out, what is refused."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image

from service.api.translation.json_image import MAX_ESCAPES, PIECE_BYTES, is_costly, read, write
from service.errors import Problem
from service.images.codec_process import CodecProcess

pytestmark = pytest.mark.anyio

INVERT = "/translate/horse2zebra"
Encoded = Callable[..., bytes]
Noise = Callable[..., Image.Image]
ProblemOf = Callable[..., dict[str, Any]]
Serve = Callable[[FastAPI], Awaitable[httpx.AsyncClient]]


def in_base64(file: bytes) -> str:
    return base64.b64encode(file).decode()


async def test_an_image_in_json_comes_back_in_json(client: httpx.AsyncClient, encoded: Encoded, noise: Noise) -> None:
    file = encoded(noise(100, 80), "PNG")
    response = await client.post(INVERT, json={"image": in_base64(file)})
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    plain = await client.post(INVERT, content=file)
    expected = {"image": in_base64(plain.content), "media_type": "image/png", "model": "horse2zebra/1"}
    assert response.json() == {**expected, "size": plain.headers["x-size"]}
    for name in ("x-model", "x-size", "vary"):
        assert response.headers[name] == plain.headers[name]
    assert response.headers["server-timing"].startswith("decode;dur=")


async def test_the_parameters_are_members_beside_it(client: httpx.AsyncClient, encoded: Encoded, noise: Noise) -> None:
    file = encoded(noise(200, 100), "PNG")
    body = {"image": in_base64(file), "size": 64, "format": "jpg", "model": "horse2zebra", "detail": "off"}
    response = await client.post(f"{INVERT}?size=64", json=body)
    plain = await client.post(f"{INVERT}?size=64&format=jpeg&detail=off", content=file)
    assert base64.b64decode(response.json()["image"]) == plain.content
    assert (response.json()["media_type"], response.json()["size"]) == ("image/jpeg", "64x64")


@pytest.mark.parametrize(
    "accept",
    ["*/*", "application/json", "application/json, text/plain", "text/html", "image/*, */*", "application/zip"],
)
async def test_json_comes_back_whatever_else_is_accepted(
    client: httpx.AsyncClient, encoded: Encoded, noise: Noise, accept: str
) -> None:
    body = {"image": in_base64(encoded(noise(9, 9), "PNG"))}
    response = await client.post(INVERT, json=body, headers={"Accept": accept})
    assert response.headers["content-type"] == "application/json"


async def test_a_client_that_accepts_images_alone_is_told_so(client: httpx.AsyncClient, problem_of: ProblemOf) -> None:
    response = await client.post(INVERT, json={"image": "AAAA"}, headers={"Accept": "image/webp"})
    assert "send the image as it is" in problem_of(response, 406, "not-acceptable")["detail"]


@pytest.mark.parametrize(
    ("body", "status", "kind", "reason"),
    [
        ({}, 422, "invalid-parameter", "image: expected the image file in base64, as a string, but there is none"),
        ({"image": None}, 422, "invalid-parameter", "but there is none"),
        ({"image": 7}, 422, "invalid-parameter", "but this is 7"),
        ({"image": ["AAAA"]}, 422, "invalid-parameter", "but this is ["),
        ({"image": ""}, 422, "empty-body", "send an image"),
        ({"image": "AAA"}, 422, "invalid-parameter", "image: this is not base64"),
        ({"image": "AA=A"}, 422, "invalid-parameter", "image: this is not base64"),
        ({"image": "AAAA\nAAAA"}, 422, "invalid-parameter", "line breaks"),
        ({"image": "data:image/png;base64,AAAA"}, 422, "invalid-parameter", "data: prefix"),
        ({"image": "\u00e9\u00e9\u00e9\u00e9"}, 422, "invalid-parameter", "image: this is not base64"),
        ({"image": "http://127.0.0.1/horse.png"}, 422, "invalid-parameter", "image: this is not base64"),
        ({"image": "AAAA"}, 415, "not-an-image", ""),
        ({"image": "AAAA", "sise": "64"}, 422, "invalid-parameter", "the nearest is 'size'"),
        ({"image": "AAAA", "url": "http://127.0.0.1/"}, 422, "invalid-parameter", "there is no such parameter"),
        ({"image": "AAAA", "size": 64.5}, 422, "invalid-parameter", "size: expected a string or a whole number"),
        ({"image": "AAAA", "size": True}, 422, "invalid-parameter", "size: expected a string or a whole number"),
        ({"image": "AAAA", "detail": {"on": 1}}, 422, "invalid-parameter", "detail: expected a string"),
        ({"image": "AAAA", "detail": "more"}, 422, "invalid-parameter", "'on' or 'off'"),
        ({"image": "AAAA", "size": "63"}, 422, "invalid-parameter", "size: expected 'native' or 64 to 1024"),
        ({"image": "AAAA", "model": "nobody"}, 404, "unknown-model", "'nobody'"),
        ([], 422, "invalid-parameter", "not an object"),
        ("AAAA", 422, "invalid-parameter", "not an object"),
        ({"image": [0] * 100}, 422, "invalid-parameter", "too many members"),
    ],
)
async def test_a_bad_body_is_a_problem_that_says_where(
    client: httpx.AsyncClient, problem_of: ProblemOf, body: object, status: int, kind: str, reason: str
) -> None:
    detail = problem_of(await client.post(INVERT, json=body), status, kind)["detail"]
    assert reason in detail
    assert len(detail) < 400


@pytest.mark.parametrize(
    "body", [b"{", b"\xff\xd8\xff\xe0", b"[" * 100_000, b'{"image": "AAAA"} x', b'{"image": "\\ud800"}']
)
async def test_what_is_no_json_is_a_400(client: httpx.AsyncClient, problem_of: ProblemOf, body: bytes) -> None:
    response = await client.post(INVERT, content=body, headers={"Content-Type": "application/json"})
    problem_of(response, 400, "invalid-json")


async def test_an_empty_body_is_refused(client: httpx.AsyncClient, problem_of: ProblemOf) -> None:
    response = await client.post(INVERT, content=b"", headers={"Content-Type": "application/json"})
    problem_of(response, 422, "empty-body")


async def test_json_over_the_limit_of_bodies_is_a_413(
    make_app: Callable[..., FastAPI], serve: Serve, problem_of: ProblemOf
) -> None:
    client = await serve(make_app(body_bytes=5000))
    problem_of(await client.post(INVERT, json={"image": "A" * 8000}), 413, "body-too-large")


async def test_a_large_body_of_json_does_not_stop_other_requests(
    client: httpx.AsyncClient, problem_of: ProblemOf
) -> None:
    """The event loop goes on while 30 MB are read, within what the machine's load makes of it."""
    body = b'{"image": "' + b"A" * 30_000_000 + b'"}'
    sent = asyncio.create_task(client.post(INVERT, content=body, headers={"Content-Type": "application/json"}))
    turns = 0
    while not sent.done():
        turns += 1
        await asyncio.sleep(0.001)
    problem_of(await sent, 415, "not-an-image")
    assert turns > 3


async def test_escaped_slashes_are_read(client: httpx.AsyncClient, encoded: Encoded, noise: Noise) -> None:
    text = in_base64(encoded(noise(300, 300), "PNG"))
    assert text.count("/") > 1000
    body = json.dumps({"image": text}).replace("/", "\\/")
    response = await client.post(INVERT, content=body, headers={"Content-Type": "application/json"})
    assert response.json() == (await client.post(INVERT, json={"image": text})).json()


@pytest.mark.parametrize(
    ("characters", "reason"),
    [(b"\\u0041", "does not begin as"), (b"\\ud83d\\ude00", "base64"), ("\u00e9".encode() * 3, "base64")],
)
async def test_a_body_of_escapes_is_read_in_a_process(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, characters: bytes, reason: str
) -> None:
    apart, run = [], CodecProcess.run

    def noted(process: CodecProcess, *arguments: Any) -> Any:
        apart.append(process)
        return run(process, *arguments)

    monkeypatch.setattr(CodecProcess, "run", noted)
    body = b'{"image": "' + characters * 65_536 + b'"}'
    response = await client.post(INVERT, content=body, headers={"Content-Type": "application/json"})
    assert reason in response.json()["detail"]
    assert len(apart) == 1
    await client.post(INVERT, json={"image": "A" * len(body)})
    assert len(apart) == 1


@pytest.mark.parametrize(("escapes", "costly"), [(0, False), (MAX_ESCAPES, False), (MAX_ESCAPES + 1, True)])
def test_some_escapes_are_not_costly(escapes: int, costly: bool) -> None:
    half = escapes // 2
    assert is_costly([b"A" * 1000, b"\\/" * half, b"\\/" * (escapes - half)]) is costly


@pytest.mark.parametrize("size", [1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES + 2])
def test_files_of_any_length_are_read_and_written(size: int) -> None:
    file = bytes(range(256)) * (size // 256 + 1)
    file = file[:size]
    text = write(file, "image/png", "m/1", "64x64")
    assert base64.b64decode(json.loads(text)["image"], validate=True) == file
    assert read([json.dumps({"image": in_base64(file)}).encode()]) == (file, {})


def test_padding_before_the_end_is_refused_in_a_long_file_too() -> None:
    text = in_base64(bytes(PIECE_BYTES - 1)) + "AAAA"
    with pytest.raises(Problem, match="not base64"):
        read([json.dumps({"image": text}).encode()])


async def test_a_result_after_the_deadline_is_a_504(
    gate: Any,
    make_app: Callable[..., FastAPI],
    serve: Serve,
    encoded: Encoded,
    noise: Noise,
    problem_of: ProblemOf,
) -> None:
    client, body = await serve(make_app()), {"image": in_base64(encoded(noise(9, 9), "PNG"))}
    response = await client.post(INVERT, json=body, headers={"X-Request-Timeout": "0.05"})
    problem_of(response, 504, "deadline-exceeded")


async def test_a_hang_up_cancels_the_request(
    cancelled: Callable[..., Awaitable[bool]], encoded: Encoded, noise: Noise
) -> None:
    body = json.dumps({"image": in_base64(encoded(noise(9, 9), "PNG"))}).encode()
    assert await cancelled(INVERT, body, content_type="application/json")
