"""Digits between two seeds: which ones, in which formats, and what is refused."""

import base64
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image

pytestmark = pytest.mark.anyio

LAST = 2**64 - 1
ProblemOf = Callable[..., dict[str, Any]]
Interpolate = Callable[..., Awaitable[httpx.Response]]


def array_of(response: httpx.Response) -> np.ndarray:
    assert response.status_code == 200, response.text
    return np.load(io.BytesIO(response.content), allow_pickle=False)


@pytest.fixture
def interpolate(client: httpx.AsyncClient) -> Interpolate:
    """`await interpolate(from_=1, to=2, steps=3)`: the response to GET /mnist/interpolate with these parameters."""

    def get(**parameters: object) -> Awaitable[httpx.Response]:
        named = {name.rstrip("_"): value for name, value in parameters.items()}
        return client.get("/mnist/interpolate", params=named)

    return get


async def test_the_ends_are_the_digits_of_their_seeds(client: httpx.AsyncClient, interpolate: Interpolate) -> None:
    response = await interpolate(from_=7, to=LAST, steps=5, format="npy")
    digits = array_of(response)
    assert (digits.shape, digits.dtype) == ((5, 28, 28), np.uint8)
    for end, seed in ((0, 7), (-1, LAST)):
        alone = await client.get("/mnist/sample", params={"seed": seed, "format": "npy"})
        assert (digits[end] == array_of(alone)[0]).all()
    assert len({digit.tobytes() for digit in digits}) == 5
    assert (response.headers["x-seed"], response.headers["x-model"]) == ("7", "mnist/1")
    assert response.headers["server-timing"].startswith("queue;dur=")


async def test_the_png_is_a_strip_of_eight_digits_unless_asked_otherwise(interpolate: Interpolate) -> None:
    response = await interpolate(from_=1, to=2)
    image = Image.open(io.BytesIO(response.content))
    assert (image.format, image.size) == ("PNG", (8 * 28, 28))
    digits = array_of(await interpolate(from_=1, to=2, format="npy"))
    assert (np.asarray(image) == np.concatenate(digits, axis=1)).all()


async def test_json_has_the_seeds_of_the_ends_alone(interpolate: Interpolate) -> None:
    response = await interpolate(from_=1, to=LAST, steps=3, format="json")
    items = response.json()["digits"]
    assert [item.get("seed") for item in items] == ["1", None, str(LAST)]
    digits = array_of(await interpolate(from_=1, to=LAST, steps=3, format="npy"))
    pngs = [np.asarray(Image.open(io.BytesIO(base64.b64decode(item["png"], validate=True)))) for item in items]
    assert (np.stack(pngs) == digits).all()


async def test_between_equal_seeds_nothing_changes(interpolate: Interpolate) -> None:
    digits = array_of(await interpolate(from_=3, to=3, steps=4, format="npy"))
    assert (digits == digits[0]).all()


async def test_1024_steps_are_served_and_run_in_batches_with_other_requests(interpolate: Interpolate) -> None:
    assert array_of(await interpolate(from_=3, to=4, steps=1024, format="npy")).shape == (1024, 28, 28)


async def test_digit_asks_for_one_digit_all_the_way(
    tmp_path: Path, publish: Callable[..., Path], make_app: Callable[..., FastAPI], serve: Callable[..., Any]
) -> None:
    for name in ("mnist", "mnist-conditional"):
        publish(tmp_path, name)
    client = await serve(make_app(models=tmp_path))
    response = await client.get("/mnist/interpolate?from=1&to=2&digit=4&format=npy")
    assert response.headers["x-model"] == "mnist-conditional/1"
    sampled = await client.get("/mnist/sample?seed=1&count=2&digit=4&format=npy")
    assert (array_of(response)[[0, -1]] == array_of(sampled)).all()


async def test_digits_may_be_cached_and_cost_no_inference_then(
    gate: Any, make_app: Callable[..., FastAPI], serve: Callable[..., Any]
) -> None:
    gate.opened.set()
    client, url = await serve(make_app()), "/mnist/interpolate?from=1&to=2"
    first = await client.get(url)
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "max-age=3600"
    again = await client.get(url, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert len(gate.shapes) == 1
    others = [f"{url}&steps=3", f"{url}&format=npy", "/mnist/interpolate?from=2&to=1", "/mnist/sample?seed=1"]
    assert len({tag, *[(await client.get(other)).headers["etag"] for other in others]}) == 5


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"from": "1"}, "to"),
        ({"to": "1"}, "from"),
        ({"from": "-1", "to": "1"}, "from"),
        ({"from": "1", "to": str(2**64)}, "to"),
        ({"from": "+1", "to": "2"}, "from"),
        ({"from": "1", "to": "2.0"}, "to"),
        ({"from": "1", "to": "x" * 5000}, "to"),
        ({"from": "1", "to": "2", "steps": "1"}, "steps"),
        ({"from": "1", "to": "2", "steps": "1025"}, "steps"),
        ({"from": "1", "to": "2", "format": "gif"}, "format"),
        ({"from": "1", "to": "2", "digit": "10"}, "digit"),
    ],
)
async def test_a_bad_parameter_is_a_problem_that_names_it(
    client: httpx.AsyncClient, problem_of: ProblemOf, parameters: dict[str, str], name: str
) -> None:
    response = await client.get("/mnist/interpolate", params=parameters)
    detail = problem_of(response, 422, "invalid-parameter")["detail"]
    assert detail.startswith(f"{name}: ")
    assert len(detail) < 300


async def test_a_parameter_that_does_not_exist_is_told_the_ones_that_do(
    interpolate: Interpolate, problem_of: ProblemOf
) -> None:
    detail = problem_of(await interpolate(from_="1", to="2", step="3"), 422, "invalid-parameter")["detail"]
    assert "the nearest is 'steps', the parameters are model, from, to, steps, format, digit" in detail


async def test_steps_count_towards_the_rate_limit(
    make_app: Callable[..., FastAPI], serve: Callable[..., Any], problem_of: ProblemOf
) -> None:
    client = await serve(make_app(rate_limit="10/hour"))
    response = await client.get("/mnist/interpolate?from=1&to=2&steps=6")
    assert response.headers["ratelimit"].startswith('"images";r=4;')
    problem_of(await client.get("/mnist/interpolate?from=1&to=2&steps=6"), 429, "rate-limited")


async def test_a_result_after_the_deadline_is_a_504(
    gate: Any, make_app: Callable[..., FastAPI], serve: Callable[..., Any], problem_of: ProblemOf
) -> None:
    client = await serve(make_app())
    response = await client.get("/mnist/interpolate?from=1&to=2", headers={"X-Request-Timeout": "0.05"})
    problem_of(response, 504, "deadline-exceeded")


async def test_a_full_queue_is_a_503(
    fill_queue: Callable[..., Awaitable[httpx.AsyncClient]], problem_of: ProblemOf
) -> None:
    client = await fill_queue()
    response = await client.get("/mnist/interpolate?from=1&to=2")
    problem_of(response, 503, "queue-full")
    assert int(response.headers["retry-after"]) >= 1


async def test_a_hang_up_cancels_the_request(cancelled: Callable[..., Awaitable[bool]]) -> None:
    assert await cancelled("/mnist/interpolate?from=1&to=2")
