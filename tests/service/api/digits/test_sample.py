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

from service.runtime.latents import latents

pytestmark = pytest.mark.anyio

LAST = 2**64 - 1
ProblemOf = Callable[..., dict[str, Any]]


def array_of(response: httpx.Response) -> np.ndarray:
    assert response.status_code == 200, response.text
    return np.load(io.BytesIO(response.content), allow_pickle=False)


def image_of(content: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(content))
    assert (image.format, image.mode) == ("PNG", "L")
    return np.asarray(image)


@pytest.fixture
def sample(client: httpx.AsyncClient) -> Callable[..., Awaitable[httpx.Response]]:
    """`await sample(count=3, seed=1)`: the response to GET /mnist/sample with these parameters."""
    return lambda **parameters: client.get("/mnist/sample", params=parameters)


Sample = Callable[..., Awaitable[httpx.Response]]


async def test_one_digit_as_png_unless_asked_otherwise(sample: Sample) -> None:
    response = await sample()
    assert (response.status_code, response.headers["content-type"]) == (200, "image/png")
    assert image_of(response.content).shape == (28, 28)


async def test_a_digit_is_the_models_output_for_its_seeds_latent_vector(sample: Sample) -> None:
    z = latents(np.array([5], np.uint64), 8)[0]
    pixels = np.clip(z[np.arange(784) % 8] * np.linspace(20, 60, 784, dtype=np.float32) + np.float32(128), 0, 255)
    assert (array_of(await sample(seed=5, format="npy"))[0].ravel() == pixels.astype(np.uint8)).all()


@pytest.mark.parametrize(
    ("count", "columns", "shape"),
    [
        (4, None, (56, 56)),
        (5, None, (56, 84)),
        (2, None, (28, 56)),
        (6, 6, (28, 168)),
        (6, 1, (168, 28)),
        (1, 3, (28, 84)),
    ],
)
async def test_the_png_is_a_grid(sample: Sample, count: int, columns: int | None, shape: tuple[int, int]) -> None:
    response = await sample(count=count, seed=0, **({"columns": columns} if columns else {}))
    assert image_of(response.content).shape == shape


async def test_npy_holds_the_digits_of_the_png(sample: Sample) -> None:
    digits = array_of(await sample(count=3, seed=9, format="npy"))
    assert (digits.shape, digits.dtype) == ((3, 28, 28), np.uint8)
    sheet = image_of((await sample(count=3, seed=9, columns=1)).content)
    assert (sheet == digits.reshape(84, 28)).all()


async def test_json_holds_a_png_and_a_seed_a_digit(sample: Sample) -> None:
    response = await sample(count=3, seed=LAST - 1, format="json")
    assert response.headers["content-type"] == "application/json"
    items = response.json()["digits"]
    assert [item["seed"] for item in items] == [str(LAST - 1), str(LAST), "0"]
    digits = array_of(await sample(count=3, seed=LAST - 1, format="npy"))
    images = [image_of(base64.b64decode(item["png"], validate=True)) for item in items]
    assert (np.stack(images) == digits).all()


async def test_x_seed_repeats_the_seed_asked_for(sample: Sample) -> None:
    assert (await sample(seed=LAST, count=3)).headers["x-seed"] == str(LAST)


async def test_without_a_seed_each_response_has_another_and_says_which(sample: Sample) -> None:
    responses = [await sample(format="npy") for _ in range(2)]
    seeds = [response.headers["x-seed"] for response in responses]
    assert seeds[0] != seeds[1]
    assert (await sample(seed=seeds[0], format="npy")).content == responses[0].content


async def test_drawn_seeds_are_numbers_that_javascript_keeps(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.randbelow", lambda end: end - 1)
    seeds = [item["seed"] for item in (await sample(count=1024, format="json")).json()["digits"]]
    assert all(int(float(seed)) == int(seed) < 2**53 for seed in seeds)


async def test_seeded_digits_may_be_cached_drawn_ones_not(sample: Sample) -> None:
    seeded, drawn = await sample(seed=1), await sample()
    assert seeded.headers["etag"].startswith('W/"')
    assert seeded.headers["cache-control"] == "max-age=3600"
    assert drawn.headers["cache-control"] == "no-store"
    assert "etag" not in drawn.headers
    assert seeded.headers["vary"] == drawn.headers["vary"] == "Accept"


@pytest.mark.parametrize("known", ["{}", '"other", {}', "*", "{}, {}"])
async def test_digits_that_the_client_has_cost_no_inference(
    gate: Any, make_app: Callable[..., FastAPI], serve: Callable[..., Any], known: str
) -> None:
    gate.opened.set()
    client = await serve(make_app())
    first = await client.get("/mnist/sample?seed=1")
    tag = first.headers["etag"]
    again = await client.get("/mnist/sample?seed=1", headers={"If-None-Match": known.format(tag, tag)})
    assert (again.status_code, again.content) == (304, b"")
    assert {name: again.headers[name] for name in ("etag", "vary", "cache-control")} == {
        "etag": tag,
        "vary": "Accept",
        "cache-control": "max-age=3600",
    }
    assert len(gate.shapes) == 1


async def test_other_digits_have_other_tags(client: httpx.AsyncClient) -> None:
    urls = ["seed=1", "seed=2", "seed=1&count=2", "seed=1&format=npy", "seed=1&columns=2", "seed=1&format=json"]
    tags = [(await client.get(f"/mnist/sample?{url}")).headers["etag"] for url in urls]
    tags.append(
        (await client.get("/mnist/sample?seed=1&columns=3", headers={"If-None-Match": tags[0]})).headers["etag"]
    )
    assert len(set(tags)) == len(tags)


async def test_x_model_names_the_model(sample: Sample) -> None:
    assert (await sample()).headers["x-model"] == "mnist/1"


@pytest.mark.parametrize("seed", [0, 7, LAST - 2])
async def test_digit_i_of_a_seed_is_the_digit_of_seed_plus_i_alone(sample: Sample, seed: int) -> None:
    together = array_of(await sample(count=5, seed=seed, format="npy"))
    alone = [array_of(await sample(seed=(seed + i) % 2**64, format="npy"))[0] for i in range(5)]
    assert together.tobytes() == np.stack(alone).tobytes()
    assert len({digit.tobytes() for digit in alone}) == 5


async def test_the_same_seed_gives_the_same_bytes(sample: Sample) -> None:
    assert (await sample(count=9, seed=3)).content == (await sample(count=9, seed=3)).content


async def test_1024_digits_are_served(sample: Sample) -> None:
    digits = array_of(await sample(count=1024, seed=0, format="npy"))
    assert digits.shape == (1024, 28, 28)
    assert (digits[1000] == array_of(await sample(seed=1000, format="npy"))[0]).all()


@pytest.mark.parametrize(
    ("parameters", "name", "got"),
    [
        ({"count": "0"}, "count", "0"),
        ({"count": "1025"}, "count", "1025"),
        ({"count": "many"}, "count", "many"),
        ({"count": "1.5"}, "count", "1.5"),
        ({"count": ""}, "count", ""),
        ({"seed": "-1"}, "seed", "-1"),
        ({"seed": str(2**64)}, "seed", str(2**64)),
        ({"seed": "0x1"}, "seed", "0x1"),
        ({"seed": "7_0"}, "seed", "7_0"),
        ({"seed": "7.0"}, "seed", "7.0"),
        ({"seed": "+7"}, "seed", "+7"),
        ({"seed": " 7"}, "seed", " 7"),
        ({"seed": "\u0667"}, "seed", "\u0667"),
        ({"format": "gif"}, "format", "gif"),
        ({"columns": "0"}, "columns", "0"),
        ({"columns": "1025"}, "columns", "1025"),
    ],
)
async def test_a_bad_parameter_is_a_problem_that_names_it(
    sample: Sample, problem_of: ProblemOf, parameters: dict[str, str], name: str, got: str
) -> None:
    detail = problem_of(await sample(**parameters), 422, "invalid-parameter")["detail"]
    assert detail.startswith(f"{name}: ")
    assert detail.endswith(f"(got {got!r})")


@pytest.mark.parametrize(("name", "near"), [("n", "count"), ("sed", "seed"), ("Format", "format")])
async def test_a_parameter_that_does_not_exist_is_a_problem_that_names_the_nearest(
    sample: Sample, problem_of: ProblemOf, name: str, near: str
) -> None:
    detail = problem_of(await sample(**{name: "10"}), 422, "invalid-parameter")["detail"]
    known = "model, count, seed, format, digit, columns"
    assert detail == (
        f"{name}: there is no such parameter: the nearest is {near!r}, the parameters are {known} (got '10')"
    )


async def test_every_bad_parameter_is_named(sample: Sample, problem_of: ProblemOf) -> None:
    detail = problem_of(await sample(count=0, columns=0), 422, "invalid-parameter")["detail"]
    assert "count: " in detail
    assert "columns: " in detail


async def test_a_long_bad_value_is_not_echoed_whole(sample: Sample, problem_of: ProblemOf) -> None:
    detail = problem_of(await sample(seed="9" * 5000), 422, "invalid-parameter")["detail"]
    assert len(detail) < 300


async def test_an_unknown_model_is_a_problem_that_lists_the_models(sample: Sample, problem_of: ProblemOf) -> None:
    problem = problem_of(await sample(model="mnist/99"), 404, "unknown-model")
    assert problem["available"] == ["mnist/1"]
    assert "'mnist/99'" in problem["detail"]


async def test_a_translator_is_no_sampler(sample: Sample, problem_of: ProblemOf) -> None:
    problem_of(await sample(model="horse2zebra"), 404, "unknown-model")


async def test_a_model_is_chosen_by_name_and_version(
    tmp_path: Path,
    publish: Callable[..., Path],
    make_app: Callable[..., FastAPI],
    serve: Callable[[FastAPI], Awaitable[httpx.AsyncClient]],
) -> None:
    for version in ("9", "10"):
        publish(tmp_path, "mnist", version)
    client = await serve(make_app(models=tmp_path))
    assert (await client.get("/mnist/sample?model=mnist/9")).headers["x-model"] == "mnist/9"
    assert (await client.get("/mnist/sample?model=mnist")).headers["x-model"] == "mnist/10"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*", "image/png"),
        ("application/json", "application/json"),
        ("application/problem+json", "image/png"),
        ("application/x-npy", "application/x-npy"),
        ("text/html, application/json;q=0.9, */*;q=0.8", "application/json"),
        ("image/avif,image/webp,image/apng,image/*,*/*;q=0.8", "image/png"),
    ],
)
async def test_accept_chooses_the_format(client: httpx.AsyncClient, accept: str, expected: str) -> None:
    response = await client.get("/mnist/sample", headers={"Accept": accept})
    assert response.headers["content-type"] == expected


async def test_the_format_parameter_wins_over_accept(client: httpx.AsyncClient) -> None:
    response = await client.get("/mnist/sample?format=npy", headers={"Accept": "application/json"})
    assert response.headers["content-type"] == "application/x-npy"


async def test_an_accept_that_admits_nothing_is_a_problem(client: httpx.AsyncClient, problem_of: ProblemOf) -> None:
    response = await client.get("/mnist/sample", headers={"Accept": "image/webp"})
    assert "application/x-npy" in problem_of(response, 406, "not-acceptable")["detail"]


# the digit asked for


@pytest.fixture
async def labelled(
    tmp_path: Path, publish: Callable[..., Path], make_app: Callable[..., FastAPI], serve: Callable[..., Any]
) -> httpx.AsyncClient:
    """A client of an application with both kinds of sampler."""
    for name in ("mnist", "mnist-conditional"):
        publish(tmp_path, name)
    return await serve(make_app(models=tmp_path))


@pytest.mark.parametrize("digit", [0, 7, 9])
async def test_digit_asks_for_one_digit_of_the_same_seeds(labelled: httpx.AsyncClient, digit: int) -> None:
    response = await labelled.get("/mnist/sample", params={"digit": digit, "count": 3, "seed": 4, "format": "npy"})
    assert response.headers["x-model"] == "mnist-conditional/1"
    z = latents(np.array([4, 5, 6], np.uint64), 8)[:, :1]
    expected = np.clip(z * np.float32(10) + np.float32(25 * digit), 0, 255).astype(np.uint8)
    assert (array_of(response).reshape(3, -1) == expected).all()


async def test_without_digit_the_plain_sampler_responds(labelled: httpx.AsyncClient) -> None:
    assert (await labelled.get("/mnist/sample")).headers["x-model"] == "mnist/1"


@pytest.mark.parametrize("digit", ["-1", "10", "seven", "1.5"])
async def test_a_digit_that_is_none_is_refused(labelled: httpx.AsyncClient, problem_of: ProblemOf, digit: str) -> None:
    problem = problem_of(await labelled.get("/mnist/sample", params={"digit": digit}), 422, "invalid-parameter")
    assert problem["detail"].startswith("digit: ")


async def test_a_digit_without_a_model_that_knows_digits_is_a_404(sample: Sample, problem_of: ProblemOf) -> None:
    assert "leave out digit" in problem_of(await sample(digit=7), 404, "no-labels")["detail"]
