"""Digits of listed seeds and latent vectors: which ones, in which formats, and what is refused."""

import base64
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image

from service.api.body import MAX_JSON_BYTES
from service.images.codec_process import CodecProcess
from service.runtime.latents import latents

pytestmark = pytest.mark.anyio

LAST = 2**64 - 1
LENGTH = 8
ROUTE = "/mnist/sample"
ProblemOf = Callable[..., dict[str, Any]]


def array_of(response: httpx.Response) -> np.ndarray:
    assert response.status_code == 200, response.text
    return np.load(io.BytesIO(response.content), allow_pickle=False)


async def sampled(client: httpx.AsyncClient, **parameters: object) -> np.ndarray:
    return array_of(await client.get(ROUTE, params={"format": "npy", **parameters}))


async def chosen(client: httpx.AsyncClient, **body: object) -> np.ndarray:
    return array_of(await client.post(f"{ROUTE}?format=npy", json=body))


async def test_seeds_give_their_digits_in_the_order_of_the_request(client: httpx.AsyncClient) -> None:
    seeds = [LAST, 7, 0, 7]
    digits = await chosen(client, seeds=[str(seed) for seed in seeds])
    assert (digits == np.concatenate([await sampled(client, seed=seed) for seed in seeds])).all()


async def test_latent_vectors_give_the_digits_of_their_seeds(client: httpx.AsyncClient) -> None:
    z = latents(np.arange(3, dtype=np.uint64), LENGTH)
    assert (await chosen(client, latents=z.tolist()) == await sampled(client, seed=0, count=3)).all()


async def test_the_formats_are_those_of_sampled_digits(client: httpx.AsyncClient) -> None:
    body = {"seeds": ["5", str(LAST)]}
    response = await client.post(f"{ROUTE}?columns=2", json=body)
    assert response.headers["content-type"] == "image/png"
    digits = await chosen(client, **body)
    assert (np.asarray(Image.open(io.BytesIO(response.content))) == np.concatenate(digits, axis=1)).all()
    response = await client.post(ROUTE, json=body, headers={"Accept": "application/json"})
    items = response.json()["digits"]
    assert [item["seed"] for item in items] == body["seeds"]
    pngs = [np.asarray(Image.open(io.BytesIO(base64.b64decode(item["png"], validate=True)))) for item in items]
    assert (np.stack(pngs) == digits).all()
    assert (response.headers["x-model"], response.headers["vary"]) == ("mnist/1", "Accept")
    assert response.headers["server-timing"].startswith("queue;dur=")


async def test_an_empty_list_is_as_good_as_none(client: httpx.AsyncClient) -> None:
    digits = await chosen(client, seeds=["7"], latents=[], digits=[])
    assert (digits == await sampled(client, seed=7)).all()


async def test_digits_of_latent_vectors_have_no_seed(client: httpx.AsyncClient) -> None:
    response = await client.post(f"{ROUTE}?format=json", json={"latents": [[0.5] * LENGTH] * 2})
    assert [list(item) for item in response.json()["digits"]] == [["png"], ["png"]]


async def test_1024_vectors_are_read_in_a_process(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    run, ran = CodecProcess.run, []

    def noted(process: CodecProcess, *arguments: Any) -> Any:
        ran.append(arguments)
        return run(process, *arguments)

    monkeypatch.setattr(CodecProcess, "run", noted)
    z = latents(np.arange(1024, dtype=np.uint64), LENGTH)
    assert (await chosen(client, latents=z.tolist()) == await sampled(client, seed=0, count=1024)).all()
    assert len(ran) == 1


@pytest.fixture
async def labelled(
    tmp_path: Path, publish: Callable[..., Path], make_app: Callable[..., FastAPI], serve: Callable[..., Any]
) -> httpx.AsyncClient:
    """A client of an application with both kinds of sampler."""
    for name in ("mnist", "mnist-conditional"):
        publish(tmp_path, name)
    return await serve(make_app(models=tmp_path))


async def test_each_digit_may_be_asked_for_or_one_for_all(labelled: httpx.AsyncClient) -> None:
    one = [await sampled(labelled, seed=seed, digit=digit) for seed, digit in ((4, 7), (9, 2))]
    assert (await chosen(labelled, seeds=["4", "9"], digits=[7, 2]) == np.concatenate(one)).all()
    z = latents(np.array([4, 9], np.uint64), LENGTH)
    assert (await chosen(labelled, latents=z.tolist(), digits=[7, 2]) == np.concatenate(one)).all()
    for_all = await chosen(labelled, seeds=["4", "5", "6"], digits=[7])
    assert (for_all == await sampled(labelled, seed=4, count=3, digit=7)).all()


async def test_a_model_with_labels_needs_digits(labelled: httpx.AsyncClient, problem_of: ProblemOf) -> None:
    response = await labelled.post(f"{ROUTE}?model=mnist-conditional", json={"seeds": ["1"]})
    assert '"digits": [0..9]' in problem_of(response, 422, "digit-missing")["detail"]


async def test_digits_without_a_model_that_knows_them_are_a_404(
    client: httpx.AsyncClient, problem_of: ProblemOf
) -> None:
    problem_of(await client.post(ROUTE, json={"seeds": ["1"], "digits": [1]}), 404, "no-labels")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "send either seeds or latents"),
        ({"seeds": ["1"], "latents": [[0] * LENGTH]}, "not both"),
        ({"seeds": [], "latents": []}, "send either seeds or latents"),
        ({"seeds": "7"}, "seeds: "),
        ({"seeds": [7]}, "seeds.0: expected a seed below 2^64 as a string of digits"),
        ({"seeds": ["7", "-1"]}, "seeds.1: "),
        ({"seeds": [str(2**64)]}, "seeds.0: "),
        ({"seeds": ["9" * 5000]}, "seeds.0: "),
        ({"seeds": ["\u00b2"]}, "seeds.0: "),
        ({"seeds": [None]}, "seeds.0: "),
        ({"seeds": ["1"] * 1025}, "seeds: "),
        ({"latents": [[0.0] * (LENGTH + 1)]}, "latents: a latent vector of mnist has 8 numbers, these have 9"),
        ({"latents": [[]]}, "latents: a latent vector of mnist has 8 numbers, these have 0"),
        ({"latents": [[0] * LENGTH, [0]]}, "latents: the vectors have different lengths"),
        ({"latents": [0.0] * LENGTH}, "latents.0: "),
        ({"latents": [["0"] * LENGTH]}, "latents.0.0: "),
        ({"latents": [[True] * LENGTH]}, "latents.0.0: "),
        ({"latents": [[1e39] * LENGTH]}, "latents: a number is not within ±1,000,000"),
        ({"latents": [[0] * (LENGTH - 1) + [-1_000_001]]}, "latents: a number is not within ±1,000,000"),
        ({"latents": [[float("nan")] * LENGTH]}, "latents.0.0: "),
        ({"latents": [[0] * LENGTH] * 1025}, "latents: "),
        ({"seeds": ["1", "2", "3"], "digits": [1, 2]}, "digits: send one for all, or one for each of the 3, not 2"),
        ({"seeds": ["1"], "digits": [10]}, "digits.0: "),
        ({"seeds": ["1"], "digits": ["1"]}, "digits.0: "),
        ({"seeds": ["1"], "digits": 1}, "digits: "),
        ({"seeds": ["1"], "count": 3}, "count: "),
        ({"seeds": ["1"], "url": "http://127.0.0.1/"}, "url: "),
        ([], "the body: "),
        (None, "the body: "),
    ],
)
async def test_a_bad_body_is_a_problem_that_says_where(
    client: httpx.AsyncClient, problem_of: ProblemOf, body: object, reason: str
) -> None:
    response = await client.post(ROUTE, content=json.dumps(body), headers={"Content-Type": "application/json"})
    detail = problem_of(response, 422, "invalid-parameter")["detail"]
    assert reason in detail
    assert len(detail) < 300


@pytest.mark.parametrize(
    "body", [b"", b"seeds", b'{"seeds": ["1"]', b"[" * 10_000, b"\xff\xfe", b'{"latents": [[1e]]}']
)
async def test_what_is_no_json_is_a_400(client: httpx.AsyncClient, problem_of: ProblemOf, body: bytes) -> None:
    response = await client.post(ROUTE, content=body, headers={"Content-Type": "application/json"})
    assert "the body is not JSON" in problem_of(response, 400, "invalid-json")["detail"]


async def test_many_wrong_numbers_are_told_as_one(client: httpx.AsyncClient, problem_of: ProblemOf) -> None:
    response = await client.post(ROUTE, json={"latents": [["x"] * 1024] * 1024})
    assert problem_of(response, 422, "invalid-parameter")["detail"].startswith("latents.0.0: ")


async def test_more_json_than_is_read_is_a_413(client: httpx.AsyncClient, problem_of: ProblemOf) -> None:
    body = b'{"seeds": ["1"' + b" " * MAX_JSON_BYTES + b"]}"
    response = await client.post(ROUTE, content=body, headers={"Content-Type": "application/json"})
    problem_of(response, 413, "json-too-large")


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=a", ""])
async def test_another_type_is_refused_before_the_body_is_read(
    client: httpx.AsyncClient, problem_of: ProblemOf, kind: str
) -> None:
    taken = []

    async def body() -> AsyncIterator[bytes]:
        taken.append(1)
        yield b"{}"

    response = await client.post(ROUTE, content=body(), headers={"Content-Type": kind})
    assert "application/json" in problem_of(response, 415, "unsupported-media-type")["detail"]
    assert not taken


async def test_digits_count_towards_the_rate_limit(
    make_app: Callable[..., FastAPI], serve: Callable[..., Any], problem_of: ProblemOf
) -> None:
    client = await serve(make_app(rate_limit="5/hour"))
    response = await client.post(ROUTE, json={"seeds": ["1", "2", "3"]})
    assert response.headers["ratelimit"].startswith('"images";r=2;')
    problem_of(await client.post(ROUTE, json={"seeds": ["1", "2", "3"]}), 429, "rate-limited")


async def test_a_result_after_the_deadline_is_a_504(
    gate: Any, make_app: Callable[..., FastAPI], serve: Callable[..., Any], problem_of: ProblemOf
) -> None:
    client = await serve(make_app())
    response = await client.post(ROUTE, json={"seeds": ["1"]}, headers={"X-Request-Timeout": "0.05"})
    problem_of(response, 504, "deadline-exceeded")


async def test_a_full_queue_is_a_503(
    fill_queue: Callable[[], Awaitable[httpx.AsyncClient]], problem_of: ProblemOf
) -> None:
    client = await fill_queue()
    response = await client.post(ROUTE, json={"seeds": ["1"]})
    problem_of(response, 503, "queue-full")
    assert int(response.headers["retry-after"]) >= 1


async def test_a_hang_up_cancels_the_request(cancelled: Callable[..., Awaitable[bool]]) -> None:
    assert await cancelled(ROUTE, b'{"seeds": ["1"]}', content_type="application/json")
