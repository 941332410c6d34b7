"""The document beside what the routes return."""

import base64
import io
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image
from pydantic import BaseModel

from service.api import openapi
from service.runtime.latents import SEED_RANGE

pytestmark = pytest.mark.anyio

Schema = dict[str, Any]

OPERATIONS = {
    "GET /mnist/sample": "sampleDigits",
    "GET /mnist/interpolate": "interpolateDigits",
    "POST /mnist/sample": "sampleChosenDigits",
    "POST /translate/{direction}": "translateImage",
    "GET /models": "listModels",
    "GET /healthz/live": "checkLive",
    "GET /healthz/ready": "checkReady",
    "GET /healthz/startup": "checkStartup",
    "GET /metrics": "getMetrics",
    "GET /v2": "getServerMetadata",
    "GET /v2/health/live": "checkServerLive",
    "GET /v2/health/ready": "checkServerReady",
    "GET /v2/models/{name}": "getModelMetadata",
    "GET /v2/models/{name}/versions/{version}": "getVersionMetadata",
    "GET /v2/models/{name}/ready": "checkModelReady",
    "GET /v2/models/{name}/versions/{version}/ready": "checkVersionReady",
    "POST /v2/models/{name}/infer": "inferModel",
    "POST /v2/models/{name}/versions/{version}/infer": "inferVersion",
}
LIMITS = ("RateLimit", "RateLimit-Policy")


@pytest.fixture
def document(make_app: Callable[..., FastAPI]) -> Schema:
    return make_app().openapi()


@pytest.fixture
def responses(document: Schema) -> Callable[..., Schema]:
    """`responses(path, method=None)`: what the document says that a path returns, by default to its first method."""

    def of(path: str, method: str | None = None) -> Schema:
        operations = document["paths"][path]
        return operations[method or next(iter(operations))]["responses"]

    return of


def parameters(document: Schema, path: str) -> dict[str, Schema]:
    operation = next(iter(document["paths"][path].values()))
    return {parameter["name"]: parameter for parameter in operation["parameters"]}


def check_object(response: Schema, schema: Schema) -> None:
    types = {"string": str, "integer": int, "array": list}
    assert set(schema["required"]) <= response.keys() <= schema["properties"].keys()
    assert all(isinstance(value, types[schema["properties"][name]["type"]]) for name, value in response.items())


def check_headers(response: httpx.Response, described: Schema, *absent: str) -> None:
    """Every described header is there, except `absent` ones, and looks as described. There is no rate limit."""
    absent = (*LIMITS, *absent)
    assert {name for name in described if name not in response.headers} == set(absent) & described.keys()
    for name, reference in described.items():
        assert reference == {"$ref": f"#/components/headers/{name}"}
        pattern = openapi.RESPONSE_HEADERS[name]["schema"].get("pattern", "")
        assert re.search(pattern, response.headers.get(name, "")) or name in absent


@pytest.fixture
def photograph() -> bytes:
    image = io.BytesIO()
    Image.new("RGB", (80, 64), "brown").save(image, "PNG")
    return image.getvalue()


@pytest.mark.parametrize("path", ["/mnist/sample", "/models", "/healthz/live", "/healthz/ready", "/metrics"])
async def test_a_route_returns_a_listed_media_type(
    client: httpx.AsyncClient, responses: Callable[..., Schema], path: str
) -> None:
    response = await client.get(path)
    assert response.headers["content-type"].split(";")[0] in responses(path)["200"]["content"]


@pytest.mark.parametrize("kind", ["png", "npy", "json"])
async def test_every_kind_of_digits_is_listed(
    client: httpx.AsyncClient, responses: Callable[..., Schema], kind: str
) -> None:
    response = await client.get("/mnist/sample", params={"format": kind})
    assert response.headers["content-type"] in responses("/mnist/sample")["200"]["content"]


async def test_digits_as_json_are_as_described(client: httpx.AsyncClient, document: Schema) -> None:
    response = (await client.get("/mnist/sample", params={"format": "json", "count": 2})).json()
    schemas = document["components"]["schemas"]
    check_object(response, schemas["Digits"])
    for digit in response["digits"]:
        check_object(digit, schemas["Digit"])


def test_the_example_of_digits_is_an_image(document: Schema, responses: Callable[..., Schema]) -> None:
    described = responses("/mnist/sample")["200"]["content"]["application/json"]
    assert described["schema"] == {"$ref": "#/components/schemas/Digits"}
    (digit,) = described["example"]["digits"]
    check_object(digit, document["components"]["schemas"]["Digit"])
    with Image.open(io.BytesIO(base64.b64decode(digit["png"]))) as image:
        assert (image.size, image.mode) == ((28, 28), "L")


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
async def test_every_kind_of_translation_is_listed(
    client: httpx.AsyncClient, responses: Callable[..., Schema], photograph: bytes, kind: str
) -> None:
    response = await client.post("/translate/horse2zebra", params={"format": kind}, files={"file": photograph})
    assert response.headers["content-type"] in responses("/translate/{direction}")["200"]["content"]


async def test_responses_have_the_headers_that_are_described(
    client: httpx.AsyncClient, responses: Callable[..., Schema], photograph: bytes
) -> None:
    digits, translation = responses("/mnist/sample"), responses("/translate/{direction}")
    seeded = await client.get("/mnist/sample?seed=18446744073709551615")
    check_headers(seeded, digits["200"]["headers"])
    drawn = await client.get("/mnist/sample")
    check_headers(drawn, digits["200"]["headers"], "ETag")
    known = await client.get("/mnist/sample?seed=1", headers={"If-None-Match": "*"})
    assert known.status_code == 304
    check_headers(known, digits["304"]["headers"])
    described = translation["200"]["headers"]
    check_headers(await client.post("/translate/horse2zebra", content=photograph), described, "Content-Disposition")
    accept = {"Accept": "application/zip"}
    archive = await client.post("/translate/horse2zebra", content=photograph, headers=accept)
    check_headers(archive, described, "X-Size")
    check_headers(await client.get("/models"), responses("/models")["200"]["headers"])
    wrong = await client.put("/mnist/sample")
    assert wrong.status_code == 405
    check_headers(wrong, digits["4XX"]["headers"], "Retry-After", "WWW-Authenticate")


def stages(response: httpx.Response) -> list[str]:
    measured = [stage.split(";dur=") for stage in response.headers["server-timing"].split(", ")]
    assert all(float(milliseconds) >= 0 for _, milliseconds in measured)
    return [name for name, _ in measured]


async def test_a_response_tells_its_stages(client: httpx.AsyncClient, photograph: bytes) -> None:
    for count in (1, 100):
        assert stages(await client.get(f"/mnist/sample?count={count}")) == ["queue", "inference", "encode"]
    known = await client.get("/mnist/sample?seed=1", headers={"If-None-Match": "*"})
    assert "server-timing" not in known.headers
    for detail in ("on", "off"):
        response = await client.post(f"/translate/horse2zebra?size=64&detail={detail}", content=photograph)
        assert stages(response) == ["decode", "queue", "inference", "encode"]


@pytest.mark.parametrize(
    ("path", "url"),
    [("/mnist/sample", "/mnist/sample?count=0"), ("/translate/{direction}", "/translate/cat2dog")],
    ids=["a bad parameter", "what is not there"],
)
async def test_a_problem_is_as_described(
    client: httpx.AsyncClient, document: Schema, responses: Callable[..., Schema], path: str, url: str
) -> None:
    response = await (client.get(url) if "?" in url else client.post(url))
    listed = responses(path)["4XX"]["content"][response.headers["content-type"]]
    assert listed["schema"] == {"$ref": "#/components/schemas/Problem"}
    check_object(response.json(), document["components"]["schemas"]["Problem"])


def test_the_document_says_how_an_image_is_sent(document: Schema) -> None:
    content = document["paths"]["/translate/{direction}"]["post"]["requestBody"]["content"]
    assert list(content) == ["multipart/form-data", "application/octet-stream", "image/*"]


def test_every_route_has_a_name_a_known_tag_and_the_shared_errors(document: Schema) -> None:
    operations = {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert {place: operation["operationId"] for place, operation in operations.items()} == OPERATIONS
    tags = {tag["name"] for tag in document["tags"]}
    for operation in operations.values():
        assert set(operation["tags"]) <= tags
        errors = {status: found for status, found in operation["responses"].items() if status not in ("200", "304")}
        assert errors.keys() == {"4XX", "5XX"}
        for found in operation["responses"].values():
            assert "X-Request-Id" in found["headers"]


def test_a_parameter_that_may_be_left_out_is_not_null(document: Schema) -> None:
    described = [parameters(document, path) for path in ("/mnist/sample", "/translate/{direction}")]
    schemas = [parameter["schema"] for route in described for parameter in route.values()]
    assert all("type" in schema and schema.get("default", "") is not None for schema in schemas)


@pytest.mark.parametrize("seed", [0, 9, 2**53 + 1, 10**19, SEED_RANGE - 2, SEED_RANGE - 1])
def test_a_seed_is_a_string_of_digits(document: Schema, seed: int) -> None:
    schema = parameters(document, "/mnist/sample")["seed"]["schema"]
    assert schema["type"] == "string"
    assert re.search(schema["pattern"], str(seed))


@pytest.mark.parametrize("text", ["", "-1", "1.5", "1e3", str(SEED_RANGE), str(10**20)])
async def test_what_is_no_seed_is_refused_as_described(client: httpx.AsyncClient, document: Schema, text: str) -> None:
    assert not re.search(parameters(document, "/mnist/sample")["seed"]["schema"]["pattern"], text)
    assert (await client.get("/mnist/sample", params={"seed": text})).status_code == 422


@pytest.mark.parametrize(
    "size", ["native", "0", "63", "64", "69", "70", "99", "100", "999", "1000", "1024", "1025", "big"]
)
async def test_a_size_is_described_as_it_is_accepted(
    client: httpx.AsyncClient, document: Schema, photograph: bytes, size: str
) -> None:
    pattern = parameters(document, "/translate/{direction}")["size"]["schema"]["pattern"]
    response = await client.post("/translate/horse2zebra", params={"size": size}, content=photograph)
    assert response.status_code == (200 if re.search(pattern, size) else 422)


def test_a_parameter_of_several_types_is_refused() -> None:
    class Either(BaseModel):
        size: int | str

    with pytest.raises(ValueError, match="too many values"):
        openapi.parameters(Either)


@pytest.mark.parametrize("most", [0, 7, 10, 255, 1999, 2**64 - 1])
def test_a_decimal_pattern_ends_at_its_number(most: int) -> None:
    pattern = re.compile(openapi.decimal_pattern(most))
    near = {0, 1, 9, 10, most // 2, *range(max(0, most - 100), most + 100), 10 ** len(str(most))}
    assert {number for number in near if pattern.fullmatch(str(number))} == {n for n in near if n <= most}


async def test_the_headers_of_a_rate_limit_are_described(
    make_app: Callable[..., FastAPI], serve: Callable[..., Any], document: Schema
) -> None:
    client = await serve(make_app(rate_limit="5/hour"))
    response = await client.get("/mnist/sample")
    described = document["paths"]["/mnist/sample"]["get"]["responses"]["200"]["headers"]
    for name in LIMITS:
        assert name in described
        assert name in response.headers


def test_a_key_may_be_sent_in_two_ways_or_not_at_all(document: Schema) -> None:
    schemes = document["components"]["securitySchemes"]
    assert schemes["bearerKey"].items() >= {"type": "http", "scheme": "bearer"}.items()
    assert schemes["headerKey"].items() >= {"type": "apiKey", "in": "header", "name": "X-API-Key"}.items()
    assert document["security"] == [{}, *({name: []} for name in schemes)]
