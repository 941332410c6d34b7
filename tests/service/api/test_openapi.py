"""The schema beside what the routes return."""

import io
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from PIL import Image

pytestmark = pytest.mark.anyio

Schema = dict[str, Any]


@pytest.fixture
async def responses(client: httpx.AsyncClient) -> Callable[[str], Schema]:
    """`responses(path)`: what the schema says that a path returns."""
    paths = (await client.get("/openapi.json")).json()["paths"]

    def of(path: str) -> Schema:
        (operation,) = paths[path].values()
        return operation["responses"]

    return of


def check_object(response: Schema, schema: Schema) -> None:
    types = {"string": str, "integer": int, "array": list}
    assert set(schema["required"]) <= response.keys() <= schema["properties"].keys()
    assert all(isinstance(value, types[schema["properties"][name]["type"]]) for name, value in response.items())


@pytest.mark.parametrize("path", ["/mnist/sample", "/models", "/healthz/live", "/healthz/ready", "/metrics"])
async def test_a_route_returns_a_listed_media_type(
    client: httpx.AsyncClient, responses: Callable[[str], Schema], path: str
) -> None:
    response = await client.get(path)
    assert response.headers["content-type"].split(";")[0] in responses(path)["200"]["content"]


@pytest.mark.parametrize("kind", ["png", "npy", "json"])
async def test_every_kind_of_digits_is_listed(
    client: httpx.AsyncClient, responses: Callable[[str], Schema], kind: str
) -> None:
    response = await client.get("/mnist/sample", params={"format": kind})
    assert response.headers["content-type"] in responses("/mnist/sample")["200"]["content"]


async def test_digits_as_json_are_as_described(client: httpx.AsyncClient, responses: Callable[[str], Schema]) -> None:
    response = (await client.get("/mnist/sample", params={"format": "json", "count": 2})).json()
    schema = responses("/mnist/sample")["200"]["content"]["application/json"]["schema"]
    check_object(response, schema)
    for digit in response["digits"]:
        check_object(digit, schema["properties"]["digits"]["items"])


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
async def test_every_kind_of_translation_is_listed(
    client: httpx.AsyncClient, responses: Callable[[str], Schema], kind: str
) -> None:
    image = io.BytesIO()
    Image.new("RGB", (80, 64), "brown").save(image, "PNG")
    response = await client.post("/translate/horse2zebra", params={"format": kind}, files={"file": image.getvalue()})
    assert response.headers["content-type"] in responses("/translate/{direction}")["200"]["content"]


@pytest.mark.parametrize(
    ("path", "url"),
    [("/mnist/sample", "/mnist/sample?count=0"), ("/translate/{direction}", "/translate/cat2dog")],
    ids=["a bad parameter", "what is not there"],
)
async def test_a_problem_is_as_described(
    client: httpx.AsyncClient, responses: Callable[[str], Schema], path: str, url: str
) -> None:
    response = await (client.get(url) if "?" in url else client.post(url))
    listed = responses(path)["default"]["content"]
    check_object(response.json(), listed[response.headers["content-type"]]["schema"])


async def test_the_schema_says_how_an_image_is_sent(client: httpx.AsyncClient) -> None:
    operation = (await client.get("/openapi.json")).json()["paths"]["/translate/{direction}"]["post"]
    assert set(operation["requestBody"]["content"]) == {
        "image/*",
        "multipart/form-data",
        "application/octet-stream",
    }


async def test_no_route_lists_the_responses_that_fastapi_would(
    client: httpx.AsyncClient, responses: Callable[[str], Schema]
) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert all(responses(path).keys() == {"200", "default"} for path in paths)
