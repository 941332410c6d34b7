"""Inference over HTTP: what comes in, what is refused, and what happens under load."""

import asyncio
import base64
import io
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image

from service.api.v2 import infer
from service.images.codec_process import CodecProcess
from service.images.lane import Lane
from service.runtime.latents import latents

from .conftest import LENGTH, array_of, binary, byte_strings, described, seeds

pytestmark = pytest.mark.anyio

#: The tiny models: z (8) to digits; the first translator returns 255 - x.
MNIST, INVERT = "/v2/models/mnist/infer", "/v2/models/horse2zebra/infer"

ErrorOf = Callable[..., str]
Encoded = Callable[..., bytes]
Noise = Callable[..., Image.Image]
MakeApp = Callable[..., FastAPI]
Serve = Callable[[FastAPI], Awaitable[httpx.AsyncClient]]


async def digits_of(client: httpx.AsyncClient, **parameters: object) -> np.ndarray:
    response = await client.get("/mnist/sample", params={"format": "npy", **parameters})
    return np.load(io.BytesIO(response.content))


def pixels(images: np.ndarray) -> dict[str, Any]:
    return binary({"inputs": [described("image", "UINT8", list(images.shape))]}, images.tobytes())


def file(*bodies: bytes, **parameters: object) -> dict[str, Any]:
    request = {"inputs": [described("image_file", "BYTES", [len(bodies)])], "parameters": parameters}
    return binary(request, byte_strings(*bodies))


def files_of(response: httpx.Response) -> list[bytes]:
    assert response.status_code == 200, response.text
    (output,) = response.json()["outputs"]
    assert (output["datatype"], output["parameters"]) == ("BYTES", {"content_type": "base64"})
    return [base64.b64decode(item) for item in output["data"]]


# what comes in, what goes out


async def test_seeds_give_the_digits_of_the_sample_route(client: httpx.AsyncClient) -> None:
    response = await client.post(MNIST, json={"id": "mine", **seeds(2**64 - 1, 0)})
    assert (array_of(response) == await digits_of(client, seed=2**64 - 1, count=2)).all()
    assert response.headers["x-model"] == "mnist/1"
    assert response.headers["server-timing"].startswith("queue;dur=")
    document = response.json()
    assert {name: document[name] for name in ("id", "model_name", "model_version")} == {
        "id": "mine",
        "model_name": "mnist",
        "model_version": "1",
    }


async def test_latent_vectors_give_the_digits_of_their_seeds(client: httpx.AsyncClient) -> None:
    z = latents(np.arange(3, dtype=np.uint64), 8)
    expected = await digits_of(client, seed=0, count=3)
    for data in (z.tolist(), z.ravel().tolist()):
        response = await client.post(MNIST, json={"inputs": [described("z", "FP32", [3, 8], data=data)]})
        assert (array_of(response) == expected).all()
    response = await client.post(MNIST, **binary({"inputs": [described("z", "FP32", [3, 8])]}, z.tobytes()))
    assert (array_of(response) == expected).all()


async def test_a_model_with_labels_needs_one_for_each_item(
    publish: Callable[..., Path], make_app: MakeApp, serve: Serve, tmp_path: Path, error_of: ErrorOf
) -> None:
    publish(tmp_path, "mnist-conditional")
    client, url = await serve(make_app(models=tmp_path)), "/v2/models/mnist-conditional/infer"
    label = described("label", "INT64", [2], data=[7, 7])
    expected = await digits_of(client, seed=5, count=2, digit=7)
    z = described("z", "FP32", [2, 8], data=latents(np.array([5, 6], np.uint64), 8).tolist())
    for inputs in ([label, *seeds(5, 6)["inputs"]], [z, label]):
        assert (array_of(await client.post(url, json={"inputs": inputs})) == expected).all()
    for inputs, reason in (
        ([z], "needs a label for each item of z"),
        ([*seeds(1)["inputs"], label], "needs a label for each item of seed"),
        ([label], "send one of the inputs seed and z, not neither"),
        ([z, described("label", "INT64", [2], data=[0, 10])], "0 to 9"),
        ([z, described("label", "INT64", [2], data=[-1, 0])], "0 to 9"),
    ):
        response = await client.post(url, json={"inputs": inputs})
        assert reason in error_of(response, 400, "invalid-inference-request")


async def test_pixels_go_through_a_translator_as_they_are(client: httpx.AsyncClient) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 20, 3), np.uint8)
    assert (array_of(await client.post(INVERT, **pixels(images))) == 255 - images).all()
    request = {"inputs": [described("image", "UINT8", list(images.shape), data=images.tolist())]}
    assert (array_of(await client.post(INVERT, json=request)) == 255 - images).all()


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("side", [100, 700])
async def test_a_file_gives_the_file_of_the_translate_route(
    client: httpx.AsyncClient, encoded: Encoded, noise: Noise, format: str, side: int
) -> None:
    body = encoded(noise(side, side - 30), "PNG")
    expected = await client.post(
        "/translate/horse2zebra",
        params={"format": format, "size": "64", "detail": "off"},
        content=body,
        headers={"Content-Type": "image/png"},
    )
    response = await client.post(INVERT, **file(body, format=format, size=64, detail="off"))
    assert files_of(response) == [expected.content]


async def test_a_file_keeps_its_format_and_may_come_in_base64(
    client: httpx.AsyncClient, encoded: Encoded, noise: Noise
) -> None:
    bodies = [encoded(noise(70, 90), format) for format in ("JPEG", "WEBP")]
    data = [base64.b64encode(body).decode() for body in bodies]
    response = await client.post(INVERT, json={"inputs": [described("image_file", "BYTES", [2], data=data)]})
    images = [Image.open(io.BytesIO(body)) for body in files_of(response)]
    assert [(image.format, image.size) for image in images] == [("JPEG", (70, 90)), ("WEBP", (70, 90))]


async def test_a_large_file_in_base64_is_the_same_as_a_small_one(
    client: httpx.AsyncClient, encoded: Encoded, noise: Noise
) -> None:
    body = encoded(noise(900, 800), "PNG")
    assert len(body) > 2 * 2**20
    upload = {"content": body, "headers": {"Content-Type": "image/png"}}
    expected = await client.post("/translate/horse2zebra", params={"size": "64"}, **upload)
    item = described("image_file", "BYTES", [1], data=[base64.b64encode(body).decode()])
    response = await client.post(INVERT, json={"inputs": [item], "parameters": {"size": 64}})
    assert files_of(response) == [expected.content]


async def test_large_json_is_refused_while_too_much_heavy_work_waits(
    client: httpx.AsyncClient, error_of: ErrorOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lane, "seconds_to_wait", 7.0)
    request = {**seeds(1), "padding": "x" * 40_000}
    response = await client.post(MNIST, json=request, headers={"X-Request-Timeout": "8"})
    error_of(response, 503, "codecs-busy")
    assert response.headers["retry-after"] == "7"
    assert (await client.post(MNIST, json=seeds(1))).status_code == 200


@pytest.mark.parametrize(
    ("members", "binary_output"),
    [
        ({}, False),
        ({"parameters": {"binary_data_output": True}}, True),
        ({"parameters": {"binary_data_output": False}}, False),
        ({"outputs": [{"name": "digits"}]}, False),
        ({"outputs": [{"name": "digits", "parameters": {"binary_data": True}}]}, True),
        ({"outputs": [{"name": "digits"}], "parameters": {"binary_data_output": True}}, True),
        (
            {
                "outputs": [{"name": "digits", "parameters": {"binary_data": False}}],
                "parameters": {"binary_data_output": True},
            },
            False,
        ),
    ],
)
async def test_the_request_chooses_the_form_of_the_output(
    client: httpx.AsyncClient, members: dict[str, Any], binary_output: bool
) -> None:
    response = await client.post(MNIST, json={**seeds(1), **members})
    assert (LENGTH in response.headers) == binary_output
    assert (array_of(response) == await digits_of(client, seed=1)).all()


@pytest.mark.parametrize("count", [1, 8, 200])
async def test_a_large_response_in_json_is_the_same_as_a_small_one(client: httpx.AsyncClient, count: int) -> None:
    digits = array_of(await client.post(MNIST, json=seeds(*range(count))))
    assert (digits == await digits_of(client, seed=0, count=count)).all()


async def test_a_version_is_named_in_the_path(client: httpx.AsyncClient, error_of: ErrorOf) -> None:
    assert array_of(await client.post("/v2/models/mnist/versions/1/infer", json=seeds(1))).shape == (1, 28, 28)
    response = await client.post("/v2/models/mnist/versions/2/infer", json=seeds(1))
    assert "'mnist/2'; the models are: mnist/1" in error_of(response, 404, "unknown-model")
    assert "'cat2dog'" in error_of(await client.post("/v2/models/cat2dog/infer"), 404, "unknown-model")


# what is refused

SEED = seeds(1)["inputs"][0]
DEEP = b'{"inputs":' + b"[" * 100_000
INVALID = [
    (b"", "not JSON"),
    (b"\xff\xfe", "not JSON"),
    (DEEP, "not JSON"),
    (b"[]", "must be an object"),
    (b"null", "must be an object"),
    ({}, "inputs: Field required"),
    ({"inputs": []}, "inputs: List should have at least 1"),
    ({"inputs": {}}, "inputs: Input should be a valid list"),
    ({"inputs": [SEED] * 9}, "inputs: List should have at most 8"),
    ({"inputs": [SEED, SEED]}, "it is there twice"),
    ({"inputs": [1]}, "inputs.0: "),
    ([{"inputs": [SEED]}] * 2, "must be an object"),
    ({"inputs": [{**SEED, "name": "nothing"}]}, "'nothing': the model has no such input; the inputs are seed, z"),
    ({"inputs": [{**SEED, "name": 1}]}, "inputs.0.name"),
    ({"inputs": [{**SEED, "datatype": "FP32"}]}, "expected the datatype UINT64, got FP32"),
    ({"inputs": [{**SEED, "datatype": "FP8"}]}, "inputs.0.datatype"),
    ({"inputs": [{**SEED, "shape": [2]}]}, "the 2 elements"),
    ({"inputs": [{**SEED, "shape": [1, 1]}]}, "expected the shape [-1], got [1, 1]"),
    ({"inputs": [{**SEED, "shape": []}]}, "expected the shape [-1], got []"),
    ({"inputs": [{**SEED, "shape": [0], "data": []}]}, "each size in the shape is at least 1, got [0]"),
    ({"inputs": [{**SEED, "shape": [-1]}]}, "each size in the shape is at least 1, got [-1]"),
    ({"inputs": [{**SEED, "shape": [1.0]}]}, "inputs.0.shape.0"),
    ({"inputs": [{**SEED, "shape": [True]}]}, "inputs.0.shape.0"),
    ({"inputs": [{**SEED, "shape": [10**12]}]}, "1,000,000,000,000 items, but a request has at most 1,024"),
    ({"inputs": [{**SEED, "shape": [10**300]}]}, "inputs.0.shape.0"),
    ({"inputs": [{**SEED, "shape": [1] * 1000}]}, "inputs.0.shape"),
    ({"inputs": [{**SEED, "shape": [1025], "data": [1] * 1025}]}, "at most 1,024"),
    ({"inputs": [{**SEED, "data": [-1]}]}, "does not fit into UINT64"),
    ({"inputs": [{**SEED, "data": [[[1]]]}]}, "whole numbers"),
    ({"inputs": [{**SEED, "content": [1]}]}, "'content' is not supported here"),
    ({"inputs": [{**SEED, "parameters": {"shared_memory_region": "x"}}]}, "'shared_memory_region' is not supported"),
    ({"inputs": [{**SEED, "parameters": {"binary_data_size": 8}}]}, "it has 'data' too"),
    ({"inputs": [{**SEED, "parameters": {"binary_data_size": -8}}]}, "binary_data_size"),
    ({"inputs": [{**SEED, "parameters": {"binary_data_size": "8"}}]}, "binary_data_size"),
    ({"inputs": [{"name": "seed", "datatype": "UINT64", "shape": [1]}]}, "'data' must be a list"),
    (b'{"inputs":[{"name":"z","datatype":"FP32","shape":[1,8],"data":[NaN,0,0,0,0,0,0,0]}]}', "not a finite FP32"),
    ({"inputs": [described("z", "FP32", [1, 8], data=[3e38] * 8)]}, "input z: a number is not within ±1,000,000"),
    ({"inputs": [SEED, described("z", "FP32", [1, 8], data=[0] * 8)]}, "seed and z, not both"),
    ({"inputs": [SEED], "outputs": [{"name": "logits"}]}, "output 'logits': with the input seed there is one, digits"),
    (
        {"inputs": [SEED], "outputs": [{"name": "digits", "parameters": {"classification": 3}}]},
        "'classification' is not supported",
    ),
    ({"inputs": [SEED], "parameters": {"binary_data_output": 1}}, "binary_data_output is true or false"),
    ({"inputs": [SEED], "parameters": {"sequence_id": 1}}, "sequence_id"),
    ({"inputs": [SEED], "parameters": {str(i): i for i in range(9)}}, "parameters"),
    ({"inputs": [SEED], "id": 5}, "id: "),
]


@pytest.mark.parametrize(("body", "reason"), INVALID)
async def test_a_request_that_is_none_is_a_400_that_says_why(
    client: httpx.AsyncClient, error_of: ErrorOf, body: object, reason: str
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert reason in error_of(await client.post(MNIST, content=content), 400, "invalid-inference-request")


@pytest.mark.parametrize(
    ("headers", "data", "size", "reason"),
    [
        ({LENGTH: "x"}, bytes(8), 8, "is the number of bytes of the JSON"),
        ({LENGTH: "-1"}, bytes(8), 8, "is the number of bytes of the JSON"),
        ({LENGTH: "9" * 30}, bytes(8), 8, "is the number of bytes of the JSON"),
        ({LENGTH: "1000000"}, bytes(8), 8, "but the body has"),
        ({LENGTH: "0"}, bytes(8), 8, "not JSON"),
        ({}, bytes(9), 8, "1 bytes behind the JSON belong to no input"),
        ({}, bytes(7), 8, "7 bytes are left behind the JSON"),
        ({}, bytes(8), 7, "UINT64 of shape [1] has 8 bytes, but binary_data_size is 7"),
        ({}, bytes(8), 10**18, "8 bytes are left behind the JSON"),
    ],
)
async def test_binary_data_that_does_not_fit_is_a_400_that_says_why(
    client: httpx.AsyncClient, error_of: ErrorOf, headers: dict[str, str], data: bytes, size: int, reason: str
) -> None:
    item = described("seed", "UINT64", [1], parameters={"binary_data_size": size})
    text = json.dumps({"inputs": [item]}).encode()
    response = await client.post(MNIST, content=text + data, headers={LENGTH: str(len(text)), **headers})
    assert reason in error_of(response, 400, "invalid-inference-request")


@pytest.mark.parametrize(
    ("shape", "status", "kind", "reason"),
    [
        ((1, 18, 16, 3), 400, "invalid-inference-request", "multiples of 4"),
        ((1, 12, 16, 3), 400, "invalid-inference-request", "at least 16"),
        ((1, 16, 16, 4), 400, "invalid-inference-request", "expected the shape [-1, -1, -1, 3]"),
        ((1, 128, 64, 3), 422, "too-many-model-pixels", "at most 4,096 pixels together"),
        ((2, 64, 64, 3), 422, "too-many-model-pixels", "at most 4,096 pixels together"),
    ],
)
async def test_pixels_that_the_model_does_not_take_are_refused(
    make_app: MakeApp,
    serve: Serve,
    error_of: ErrorOf,
    shape: tuple[int, ...],
    status: int,
    kind: str,
    reason: str,
) -> None:
    client = await serve(make_app(model_pixels=64 * 64))
    response = await client.post(INVERT, **pixels(np.zeros(shape, np.uint8)))
    assert reason in error_of(response, status, kind)


@pytest.mark.parametrize(
    ("body", "parameters", "status", "kind", "reason"),
    [
        (b"no image", {}, 415, "not-an-image", ""),
        (b"", {}, 422, "empty-body", "send an image"),
        (None, {"format": "gif"}, 422, "invalid-parameter", "format: "),
        (None, {"size": 7}, 422, "invalid-parameter", "size: "),
        (None, {"size": True}, 422, "invalid-parameter", "size: expected a string or a whole number, got true"),
        (None, {"size": 64.0}, 422, "invalid-parameter", "size: expected a string or a whole number, got 64.0"),
        (None, {"sizes": 64}, 422, "invalid-parameter", "nearest is 'size', the parameters are size, detail, format"),
        (None, {"size": [64]}, 400, "invalid-inference-request", "parameters: the values are"),
        (None, {"model": "zebra2horse"}, 400, "invalid-inference-request", "the path names the model"),
    ],
)
async def test_a_file_or_parameter_that_is_none_is_a_problem_of_its_kind(
    client: httpx.AsyncClient,
    encoded: Encoded,
    noise: Noise,
    error_of: ErrorOf,
    body: bytes | None,
    parameters: dict[str, Any],
    status: int,
    kind: str,
    reason: str,
) -> None:
    body = encoded(noise(9, 9), "PNG") if body is None else body
    assert reason in error_of(await client.post(INVERT, **file(body, **parameters)), status, kind)


async def test_the_files_of_a_request_have_the_pixels_of_one_upload(
    make_app: MakeApp, serve: Serve, encoded: Encoded, noise: Noise, error_of: ErrorOf
) -> None:
    client, body = await serve(make_app(image_pixels=10_000)), encoded(noise(80, 80), "PNG")
    assert len(files_of(await client.post(INVERT, **file(body)))) == 1
    error = error_of(await client.post(INVERT, **file(body, body)), 413, "image-too-large")
    assert error.startswith("file 2 of 2: ")


@pytest.mark.parametrize(("side", "beside"), [(64, False), (320, True)])
async def test_a_large_binary_response_is_joined_in_a_thread(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, side: int, beside: bool
) -> None:
    write, threads = infer.write_response, []

    def noted(*arguments: Any) -> Any:
        threads.append(threading.current_thread())
        return write(*arguments)

    monkeypatch.setattr(infer, "write_response", noted)
    images = np.random.default_rng(1).integers(0, 256, (1, side, side, 3), np.uint8)
    inputs = [described("image", "UINT8", list(images.shape))]
    request = {"inputs": inputs, "parameters": {"binary_data_output": True}}
    assert (array_of(await client.post(INVERT, **binary(request, images.tobytes()))) == 255 - images).all()
    assert [thread is not threading.current_thread() for thread in threads] == [beside]


async def test_a_compressed_body_is_refused(client: httpx.AsyncClient, error_of: ErrorOf) -> None:
    response = await client.post(MNIST, json=seeds(1), headers={"Content-Encoding": "gzip"})
    error_of(response, 415, "unsupported-content-encoding")


async def test_a_body_above_the_limit_is_a_413(make_app: MakeApp, serve: Serve, error_of: ErrorOf) -> None:
    client = await serve(make_app(body_bytes=1000))
    response = await client.post(MNIST, json=seeds(*range(1000)))
    error_of(response, 413, "body-too-large")
    assert response.headers["connection"] == "close"


async def test_more_json_than_is_read_is_a_413_that_names_the_binary_form(
    client: httpx.AsyncClient, error_of: ErrorOf
) -> None:
    response = await client.post(MNIST, content=b'{"inputs":[' + b"[]," * 3_000_000)
    assert "binary form" in error_of(response, 413, "json-too-large")


async def test_large_json_is_read_in_a_process(
    client: httpx.AsyncClient, error_of: ErrorOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, ran = CodecProcess.run, []

    def noted(process: CodecProcess, *arguments: Any) -> Any:
        ran.append(arguments)
        return run(process, *arguments)

    monkeypatch.setattr(CodecProcess, "run", noted)
    images = np.random.default_rng(0).integers(0, 256, (1, 128, 128, 3), np.uint8)
    request = {
        "inputs": [described("image", "UINT8", list(images.shape), data=images.tolist())],
        "parameters": {"binary_data_output": True},
    }
    assert (array_of(await client.post(INVERT, json=request)) == 255 - images).all()
    assert len(ran) == 1
    hostile = b'{"inputs":[' + b"[]," * 60_000 + b"{}]}"
    assert "inputs" in error_of(await client.post(INVERT, content=hostile), 400, "invalid-inference-request")
    hostile = json.dumps({"inputs": [{str(i): i for i in range(60_000)}]}).encode()
    assert "inputs.0" in error_of(await client.post(INVERT, content=hostile), 400, "invalid-inference-request")
    assert len(ran) == 3


# what happens under load


async def test_requests_of_both_routes_that_wait_together_run_together(
    gate: Any, make_app: MakeApp, serve: Serve
) -> None:
    client = await serve(make_app())
    requests = [asyncio.create_task(client.post(MNIST, json=seeds(0)))]
    await gate.reached()
    z = described("z", "FP32", [1, 8], data=[0.0] * 8)
    requests += [
        asyncio.create_task(client.get("/mnist/sample?seed=1")),
        asyncio.create_task(client.post(MNIST, json=seeds(2, 3))),
        asyncio.create_task(client.post(MNIST, json={"inputs": [z]})),
        asyncio.create_task(client.post(MNIST, json={"inputs": [z]})),
    ]
    await until_depth(client, 4)
    gate.opened.set()
    assert [response.status_code for response in await asyncio.gather(*requests)] == [200] * 5
    assert [shape[0] for shape in gate.shapes] == [1, 3, 2]


async def until_depth(client: httpx.AsyncClient, depth: int) -> None:
    """Waits until as many requests wait for mnist."""
    async with asyncio.timeout(30):
        while f'gan_queue_depth{{model="mnist/1"}} {float(depth)}' not in (await client.get("/metrics")).text:
            pass


async def test_a_full_queue_is_a_503_before_the_body_is_read(
    gate: Any, make_app: MakeApp, serve: Serve, error_of: ErrorOf
) -> None:
    client, taken = await serve(make_app(queue_size=1)), []

    async def body() -> AsyncIterator[bytes]:
        taken.append(1)
        yield b"{}"

    running = asyncio.create_task(client.post(MNIST, json=seeds(1)))
    await gate.reached()
    waiting = asyncio.create_task(client.post(MNIST, json=seeds(1)))
    await until_depth(client, 1)
    response = await client.post(MNIST, content=body())
    error_of(response, 503, "queue-full")
    assert int(response.headers["retry-after"]) >= 1
    assert not taken
    gate.opened.set()
    assert [(await request).status_code for request in (running, waiting)] == [200, 200]


async def test_a_body_that_does_not_arrive_is_a_408(make_app: MakeApp, serve: Serve, error_of: ErrorOf) -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b"begun"
        await asyncio.sleep(60)

    client = await serve(make_app(timeout_seconds=0.05))
    response = await client.post(MNIST, content=never())
    assert "0.05 s" in error_of(response, 408, "body-too-slow")
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize(("asked", "seconds"), [("0.05", "0.05 s"), ("3600", "0.2 s")])
async def test_a_result_after_the_deadline_is_a_504(
    gate: Any, make_app: MakeApp, serve: Serve, error_of: ErrorOf, asked: str, seconds: str
) -> None:
    client = await serve(make_app(timeout_seconds=0.2))
    response = await client.post(MNIST, json=seeds(1), headers={"X-Request-Timeout": asked})
    assert seconds in error_of(response, 504, "deadline-exceeded")


@pytest.mark.parametrize("asked", ["0", "-1", "soon", "nan", ""])
async def test_a_time_that_is_none_is_refused(client: httpx.AsyncClient, error_of: ErrorOf, asked: str) -> None:
    response = await client.post(MNIST, json=seeds(1), headers={"X-Request-Timeout": asked})
    assert "x-request-timeout" in error_of(response, 422, "invalid-parameter")


async def test_a_client_that_hangs_up_leaves_the_queue(gate: Any, make_app: MakeApp, serve: Serve) -> None:
    app = make_app()
    client = await serve(app)
    running = asyncio.create_task(client.post(MNIST, json=seeds(1)))
    await gate.reached()
    gone = asyncio.Event()
    body = json.dumps(seeds(*range(9))).encode()
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        pytest.fail(f"a response to a client that has gone: {message}")

    scope = {
        "type": "http",
        "method": "POST",
        "path": MNIST,
        "query_string": b"",
        "headers": [],
        "client": ("test", 1),
    }
    left = asyncio.create_task(app(scope, receive, send))
    await until_depth(client, 1)
    gone.set()
    await asyncio.wait_for(left, 30)
    await until_depth(client, 0)
    gate.opened.set()
    assert (await running).status_code == 200
    assert [shape[0] for shape in gate.shapes] == [1]
    counted = 'gan_requests_total{outcome="cancelled",route="/v2/models/{name}/infer"} 1.0'
    assert counted in (await client.get("/metrics")).text


async def test_a_failing_model_is_a_500_that_tells_nothing_of_its_insides(
    gate: Any, make_app: MakeApp, serve: Serve, error_of: ErrorOf
) -> None:
    client = await serve(make_app())
    gate.error = RuntimeError("secret")
    gate.opened.set()
    response = await client.post(MNIST, json=seeds(1))
    error_of(response, 500, "inference-failed")
    assert not any(word in response.text for word in ("secret", "Traceback", "RuntimeError", ".py"))
