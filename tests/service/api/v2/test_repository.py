"""The model repository extension, on the management port alone; by Triton's own client too."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import tritonclient.http as triton
from fastapi import FastAPI
from tritonclient.utils import InferenceServerException

from service.app import create_management_app
from service.card import MODEL_FILE

pytestmark = pytest.mark.anyio

Publish = Callable[..., Path]
ErrorOf = Callable[..., str]


@pytest.fixture
async def ports(
    tmp_path: Path,
    publish: Publish,
    make_app: Callable[..., FastAPI],
    serve: Callable[[FastAPI], Awaitable[httpx.AsyncClient]],
) -> tuple[httpx.AsyncClient, httpx.AsyncClient]:
    """Clients of the public port and of the management port."""
    for name in ("mnist", "horse2zebra"):
        publish(tmp_path, name)
    app = make_app(models=tmp_path, management_port=1)
    return await serve(app), await serve(create_management_app(app))


async def test_the_public_port_has_no_repository(ports: tuple[httpx.AsyncClient, ...]) -> None:
    public, _ = ports
    for path in ("/v2/repository/index", "/v2/repository/models/mnist/load", "/v2/repository/models/mnist/unload"):
        assert (await public.post(path)).status_code == 404
    assert "mnist/1" in (await public.get("/models")).text


async def test_a_model_is_unloaded_and_loaded_and_the_index_shows_it(
    tmp_path: Path, publish: Publish, ports: tuple[httpx.AsyncClient, ...]
) -> None:
    public, management = ports
    unloaded = await management.post("/v2/repository/models/mnist/unload")
    assert (unloaded.status_code, unloaded.json()) == (200, {})
    assert (await public.get("/mnist/sample")).status_code == 404
    index = (await management.post("/v2/repository/index")).json()
    assert index == [
        {"name": "horse2zebra", "version": "1", "state": "READY", "reason": ""},
        {"name": "mnist", "version": "1", "state": "UNAVAILABLE", "reason": "unloaded by request"},
    ]
    publish(tmp_path, "mnist", "2")
    assert (await management.post("/v2/repository/models/mnist/load", json={})).status_code == 200
    assert (await public.get("/mnist/sample")).headers["x-model"] == "mnist/2"
    assert [one["version"] for one in (await management.post("/v2/repository/index")).json()] == ["1", "1", "2"]


async def test_a_broken_model_is_an_error_and_unavailable(
    tmp_path: Path, publish: Publish, ports: tuple[httpx.AsyncClient, ...], error_of: ErrorOf
) -> None:
    _, management = ports
    (publish(tmp_path, "mnist", "2") / MODEL_FILE).write_bytes(b"")
    response = await management.post("/v2/repository/models/mnist/load")
    assert "mnist/2/model.onnx has sha256" in error_of(response, 400, "model-refused")
    (entry,) = (one for one in (await management.post("/v2/repository/index")).json() if one["version"] == "2")
    assert (entry["state"], "has sha256" in entry["reason"]) == ("UNAVAILABLE", True)
    ready = (await management.post("/v2/repository/index", json={"ready": True})).json()
    assert {one["state"] for one in ready} == {"READY"}


async def test_a_loaded_version_has_no_reason_though_its_new_files_are_refused(
    tmp_path: Path, ports: tuple[httpx.AsyncClient, ...], error_of: ErrorOf
) -> None:
    public, management = ports
    (tmp_path / "mnist" / "1" / MODEL_FILE).write_bytes(b"")
    error_of(await management.post("/v2/repository/models/mnist/load"), 400, "model-refused")
    entries = (await management.post("/v2/repository/index")).json()
    assert {(one["name"], one["state"], one["reason"]) for one in entries} == {
        ("horse2zebra", "READY", ""),
        ("mnist", "READY", ""),
    }
    assert [one["id"] for one in (await public.get("/models")).json()["refused"]] == ["mnist/1"]


async def test_the_index_expects_true_or_false(ports: tuple[httpx.AsyncClient, ...], error_of: ErrorOf) -> None:
    _, management = ports
    for value in ("x", 1, None):
        error_of(await management.post("/v2/repository/index", json={"ready": value}), 400, "invalid-json")
    assert (await management.post("/v2/repository/index", json={"ready": False})).status_code == 200


@pytest.mark.parametrize("action", ["load", "unload"])
async def test_an_unknown_model_is_a_404(ports: tuple[httpx.AsyncClient, ...], error_of: ErrorOf, action: str) -> None:
    _, management = ports
    assert "cats" in error_of(await management.post(f"/v2/repository/models/cats/{action}"), 404, "unknown-model")


async def test_the_last_model_stays(ports: tuple[httpx.AsyncClient, ...], error_of: ErrorOf) -> None:
    _, management = ports
    await management.post("/v2/repository/models/mnist/unload")
    error_of(await management.post("/v2/repository/models/horse2zebra/unload"), 409, "last-model")


@pytest.mark.parametrize("path", ["index", "models/mnist/load", "models/mnist/unload"])
@pytest.mark.parametrize(
    ("request_", "status", "kind"),
    [
        ({"headers": {"Origin": "http://evil.example"}}, 403, "browser-refused"),
        ({"content": b"{"}, 400, "invalid-json"),
        ({"content": b"[" * 60_000}, 400, "invalid-json"),
        ({"json": []}, 400, "invalid-json"),
        ({"json": {"other": 1}}, 400, "invalid-json"),
    ],
    ids=["browser", "cut", "nested", "array", "member"],
)
async def test_other_requests_are_refused_and_change_nothing(
    ports: tuple[httpx.AsyncClient, ...], error_of: ErrorOf, path: str, request_: dict, status: int, kind: str
) -> None:
    public, management = ports
    error_of(await management.post(f"/v2/repository/{path}", **request_), status, kind)
    assert (await public.get("/mnist/sample")).status_code == 200


async def test_a_model_cannot_be_changed_by_parameters(ports: tuple[httpx.AsyncClient, ...], error_of: ErrorOf) -> None:
    _, management = ports
    body = {"parameters": {"config": "{}"}}
    error_of(await management.post("/v2/repository/models/mnist/load", json=body), 422, "invalid-parameter")


async def test_a_large_body_is_refused(ports: tuple[httpx.AsyncClient, ...]) -> None:
    _, management = ports
    assert (await management.post("/v2/repository/index", content=bytes(2**17))).status_code == 413


@contextmanager
def process(models: Path) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The service with two ports: its process and their addresses."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GAN_", "OTEL_"))}
    command = [sys.executable, "-m", "service", "--port", "0", "--management-port", "0", "--device", "cpu"]
    flags = ["--watch-models", "off", "--models", str(models)]
    with subprocess.Popen([*command, *flags], env=environment, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr
        addresses = []
        while len(addresses) < 2:
            found = re.search(
                r"port running on http://(\S+)|service running on http://(\S+)", running.stderr.readline()
            )
            addresses += [address for address in found.groups() if address] if found else []
        management, public = addresses
        try:
            yield running, public, management
        finally:
            running.terminate()
            running.communicate()


def test_tritons_client_manages_models(tmp_path: Path, publish: Publish) -> None:
    for name in ("mnist", "horse2zebra"):
        publish(tmp_path, name)
    with process(tmp_path) as (_, public, management), triton.InferenceServerClient(management) as client:
        publish(tmp_path, "mnist", "2")
        client.load_model("mnist")
        ready = {(one["name"], one["version"]) for one in client.get_model_repository_index()}
        assert ready == {("horse2zebra", "1"), ("mnist", "1"), ("mnist", "2")}
        client.unload_model("mnist")
        assert httpx.get(f"http://{public}/mnist/sample").status_code == 404
        with pytest.raises(InferenceServerException, match="no model"):
            client.load_model("cats")


def test_sighup_has_the_folder_looked_at(tmp_path: Path, publish: Publish) -> None:
    publish(tmp_path, "mnist")
    with process(tmp_path) as (running, public, _):
        publish(tmp_path, "mnist", "2")
        running.send_signal(signal.SIGHUP)
        assert running.stderr
        assert any("serving mnist/2" in line for line in running.stderr)
        assert httpx.get(f"http://{public}/mnist/sample").headers["x-model"] == "mnist/2"
