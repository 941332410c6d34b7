"""Health and metadata of the protocol."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from fastapi import FastAPI

from service.api.v2 import infer, metadata
from service.app import create_management_app
from service.engine.health import FAILURES_IN_A_ROW

from .conftest import LENGTH, seeds

pytestmark = pytest.mark.anyio

ErrorOf = Callable[..., str]
MakeApp = Callable[..., FastAPI]
Serve = Callable[[FastAPI], Awaitable[httpx.AsyncClient]]

SEED = {"name": "seed", "datatype": "UINT64", "shape": [-1]}
Z = {"name": "z", "datatype": "FP32", "shape": [-1, 8]}
LABEL = {"name": "label", "datatype": "INT64", "shape": [-1]}
DIGITS = {"name": "digits", "datatype": "UINT8", "shape": [-1, 28, 28]}
IMAGE = {"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}
IMAGE_FILE = {"name": "image_file", "datatype": "BYTES", "shape": [-1]}
TRANSLATION = {**IMAGE, "name": "translation"}
TRANSLATION_FILE = {**IMAGE_FILE, "name": "translation_file"}


async def test_the_server_names_itself_and_its_extensions(client: httpx.AsyncClient) -> None:
    server = (await client.get("/v2")).json()
    assert server["name"] == "gan-serving"
    assert server["extensions"] == ["binary_tensor_data"]
    assert server["version"] == (await client.get("/openapi.json")).json()["info"]["version"]


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("mnist", [SEED, Z], [DIGITS]),
        ("mnist-conditional", [SEED, Z, LABEL], [DIGITS]),
        ("horse2zebra", [IMAGE, IMAGE_FILE], [TRANSLATION, TRANSLATION_FILE]),
    ],
)
async def test_a_models_metadata_names_its_tensors(
    publish: Callable[..., Path],
    make_app: MakeApp,
    serve: Serve,
    tmp_path: Path,
    error_of: ErrorOf,
    name: str,
    inputs: list[dict[str, Any]],
    outputs: list[dict[str, Any]],
) -> None:
    for version in ("2", "10"):
        publish(tmp_path, name, version)
    client = await serve(make_app(models=tmp_path))
    expected = {
        "name": name,
        "versions": ["2", "10"],
        "platform": "onnxruntime_onnx",
        "inputs": inputs,
        "outputs": outputs,
    }
    for path in (f"/v2/models/{name}", f"/v2/models/{name}/versions/2"):
        assert (await client.get(path)).json() == expected
    for path in (f"/v2/models/{name}/versions/3", f"/v2/models/{name}/versions/3/ready"):
        assert f"{name}/2, {name}/10" in error_of(await client.get(path), 404, "unknown-model")
    for path in ("/v2/models/cat2dog", "/v2/models/cat2dog/ready"):
        assert error_of(await client.get(path), 404, "unknown-model").endswith(f"the models are: {name}")


async def test_everything_is_ready_while_nothing_fails(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v2/health/live")).json() == {"live": True}
    assert (await client.get("/v2/health/ready")).json() == {"ready": True}
    for path in ("/v2/models/mnist/ready", "/v2/models/mnist/versions/1/ready"):
        assert (await client.get(path)).json() == {"name": "mnist", "ready": True}


async def test_a_failing_model_is_not_ready_and_others_are(
    gate: Any, make_app: MakeApp, serve: Serve, error_of: ErrorOf
) -> None:
    client = await serve(make_app())
    gate.error = RuntimeError("broken")
    gate.opened.set()
    for _ in range(FAILURES_IN_A_ROW):
        assert (await client.post("/v2/models/mnist/infer", json=seeds(1))).status_code == 500
    for path in ("/v2/health/ready", "/v2/models/mnist/ready"):
        assert "mnist/1 keeps failing" in error_of(await client.get(path), 503, "model-failing")
    assert (await client.get("/v2/models/horse2zebra/ready")).status_code == 200
    assert (await client.get("/v2/health/live")).status_code == 200


async def test_nothing_is_ready_while_the_service_drains(make_app: MakeApp, serve: Serve, error_of: ErrorOf) -> None:
    app = make_app()
    client = await serve(app)
    app.state.context.lifecycle.draining = True
    for path in ("/v2/health/ready", "/v2/models/mnist/ready"):
        error_of(await client.get(path), 503, "draining")
    assert (await client.get("/v2/health/live")).status_code == 200


async def test_the_main_port_has_the_probes_of_the_protocol_beside_a_management_port(
    make_app: MakeApp, serve: Serve
) -> None:
    app = make_app(management_port=9000)
    client = await serve(app)
    for path in metadata.PROBES:
        assert (await client.get(path)).status_code == 200
    transport = httpx.ASGITransport(create_management_app(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as management:
        assert (await management.get("/v2/health/ready")).status_code == 404


async def test_probes_of_the_protocol_are_not_counted(client: httpx.AsyncClient) -> None:
    for path in metadata.PROBES:
        await client.get(path)
    assert "/v2/health" not in (await client.get("/metrics")).text


async def test_the_schema_lists_every_route_under_the_tag(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    routes = {route.path for module in (metadata, infer) for route in module.router.routes}
    assert {path for path in paths if path.startswith("/v2")} == routes
    for path in routes:
        (operation,) = paths[path].values()
        assert operation["tags"] == ["v2"]
        assert "200" in operation["responses"]
        headers = ["X-Request-Timeout", LENGTH] if path.endswith("/infer") else []
        assert [p["name"] for p in operation.get("parameters", [])] == [
            *(name for name in ("name", "version") if f"{{{name}}}" in path),
            *headers,
        ]
        assert set(operation["responses"]["4XX"]["content"]) == {"application/json", "application/problem+json"}
    bodies = paths["/v2/models/{name}/infer"]["post"]
    for content in (bodies["requestBody"]["content"], bodies["responses"]["200"]["content"]):
        assert set(content) == {"application/json", "application/octet-stream"}


async def test_messages_are_as_the_schema_says(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    operation = document["paths"]["/v2/models/{name}/infer"]["post"]
    request, accepted, failed = (
        {**part["content"]["application/json"]["schema"], "components": document["components"]}
        for part in (operation["requestBody"], operation["responses"]["200"], operation["responses"]["4XX"])
    )
    sent = {"id": "mine", **seeds(1), "outputs": [{"name": "digits"}], "parameters": {"binary_data_output": False}}
    jsonschema.validate(sent, request)
    with pytest.raises(jsonschema.ValidationError, match="shared_memory"):
        jsonschema.validate({"inputs": [{**sent["inputs"][0], "shared_memory": "x"}]}, request)
    jsonschema.validate((await client.post("/v2/models/mnist/infer", json=sent)).json(), accepted)
    jsonschema.validate((await client.post("/v2/models/mnist/infer", json={})).json(), failed)


async def test_an_inference_has_the_headers_that_the_schema_lists(
    make_app: Callable[..., FastAPI], serve: Callable[..., Any]
) -> None:
    client = await serve(make_app(rate_limit="5/hour"))
    operation = (await client.get("/openapi.json")).json()["paths"]["/v2/models/{name}/infer"]["post"]
    described = set(operation["responses"]["200"]["headers"])
    assert {"X-Model", "Server-Timing", "RateLimit", "RateLimit-Policy", "X-Request-Id", LENGTH} == described
    in_json = await client.post("/v2/models/mnist/infer", json=seeds(1))
    assert [name for name in described if name not in in_json.headers] == [LENGTH]
    asked = {**seeds(1), "parameters": {"binary_data_output": True}}
    in_bytes = await client.post("/v2/models/mnist/infer", json=asked)
    assert [name for name in described if name not in in_bytes.headers] == []
