import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from service import app as app_module
from service.app import create_app, create_management_app
from service.card import HALF_FILE, CardError
from service.runtime import cuda_driver

pytestmark = pytest.mark.anyio

Serve = Callable[[FastAPI], Awaitable[httpx.AsyncClient]]
MakeApp = Callable[..., FastAPI]
ProblemOf = Callable[..., dict[str, Any]]


async def test_an_unknown_route_is_a_problem(client: httpx.AsyncClient, problem_of: ProblemOf) -> None:
    problem = problem_of(await client.get("/nowhere"), 404, "not-found")
    assert "GET /nowhere" in problem["detail"]
    assert "/openapi.json" in problem["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/mnist/interpolate", "GET, HEAD, OPTIONS"),
        ("GET", "/translate/horse2zebra", "OPTIONS, POST"),
        ("HEAD", "/translate/horse2zebra", "OPTIONS, POST"),
        ("DELETE", "/models", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_wrong_method_is_a_problem_that_names_the_right_one(
    client: httpx.AsyncClient, problem_of: ProblemOf, method: str, path: str, allowed: str
) -> None:
    response = await client.request(method, path)
    if method == "HEAD":
        assert (response.status_code, response.content) == (405, b"")
    else:
        problem_of(response, 405, "method-not-allowed")
    assert response.headers["allow"] == allowed


async def test_an_error_in_a_route_tells_the_client_nothing_but_its_id(
    make_app: MakeApp, serve: Serve, problem_of: ProblemOf
) -> None:
    app = make_app()

    @app.get("/bug")
    async def bug() -> None:
        raise RuntimeError("secret")

    response = await (await serve(app)).get("/bug")
    problem_of(response, 500, "internal-error")
    assert not any(word in response.text for word in ("secret", "Traceback", "RuntimeError", ".py"))


async def test_the_schema_lists_every_route(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    expected = [
        "/healthz/live",
        "/healthz/ready",
        "/healthz/startup",
        "/metrics",
        "/mnist/interpolate",
        "/mnist/sample",
    ]
    others = [path for path in paths if not path.startswith("/v2")]  # tests/service/api/v2 has these
    assert sorted(others) == [*expected, "/models", "/translate/{direction}"]


async def test_the_documentation_loads_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).raise_for_status()
    assert "//" not in re.sub("<!--.*?-->", "", page.text)
    loaded = dict(re.findall(r'<(script|link)[^>]* (?:src|href)="([^"]+)"', page.text.replace("\n", " ")))
    for url in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        file = (await client.get(url)).raise_for_status()
        assert file.content, url
    assert (await client.get(loaded["script"])).headers["content-type"].startswith("text/javascript")
    assert "url: 'openapi.json'" in page.text


async def test_every_reference_of_the_documentation_is_relative(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    assert not [url for url in re.findall(r"""(?:src|href|url)[=:] ?["']([^"']+)""", page) if url.startswith("/")]
    (server,) = (await client.get("/openapi.json")).json()["servers"]
    assert server["url"] == "."


GETS = ["/", "/docs", "/docs/files/swagger-ui.css", "/openapi.json", "/models", "/mnist/sample?seed=1", "/metrics"]


@pytest.mark.parametrize("path", [*GETS, "/healthz/live", "/healthz/ready", "/healthz/startup", "/mnist/sample?n=1"])
async def test_head_answers_as_get_without_the_body(client: httpx.AsyncClient, path: str) -> None:
    get, head = await client.get(path), await client.head(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    varying = {"server-timing", "x-request-id", *(["content-length"] if path == "/metrics" else [])}
    seen = [{name: value for name, value in r.headers.items() if name not in varying} for r in (get, head)]
    assert seen[0] == seen[1]


async def test_a_head_is_counted_under_its_route(client: httpx.AsyncClient) -> None:
    await client.head("/mnist/sample")
    assert 'route="/mnist/sample"' in (await client.get("/metrics")).text


@pytest.mark.parametrize("path", [path.partition("?")[0] for path in GETS])
async def test_options_of_a_readable_resource(client: httpx.AsyncClient, path: str) -> None:
    response = await client.options(path)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["allow"] == (
        "GET, HEAD, OPTIONS, POST" if path == "/mnist/sample" else "GET, HEAD, OPTIONS"
    )


async def test_options_of_others(client: httpx.AsyncClient, problem_of: ProblemOf) -> None:
    assert (await client.options("/translate/horse2zebra")).headers["allow"] == "OPTIONS, POST"
    problem_of(await client.options("/nowhere"), 404, "not-found")


async def test_the_management_port_answers_head_and_options(make_app: MakeApp, serve: Serve) -> None:
    client = await serve(create_management_app(make_app(management_port=9)))
    for path in ("/metrics", "/healthz/live"):
        assert (await client.head(path)).status_code == 200
        assert (await client.options(path)).headers["allow"] == "GET, HEAD, OPTIONS"


ORIGIN = "https://app.example.org"
PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}


async def test_pages_of_other_origins_may_read_nothing_unless_allowed(client: httpx.AsyncClient) -> None:
    responses = (
        await client.get("/mnist/sample", headers={"Origin": ORIGIN}),
        await client.options("/", headers=PREFLIGHT),
    )
    assert not [name for response in responses for name in response.headers if name.startswith("access-control")]


async def test_pages_of_allowed_origins_may_read(make_app: MakeApp, serve: Serve) -> None:
    client = await serve(make_app(cors_origins=f"{ORIGIN}, http://localhost:3000"))
    for path in ("/mnist/sample", "/nowhere", "/mnist/sample?count=0"):  # what is refused can be read as well
        response = await client.get(path, headers={"Origin": ORIGIN})
        assert response.headers["access-control-allow-origin"] == ORIGIN
        exposed = set(response.headers["access-control-expose-headers"].split(", "))
        assert exposed >= {"X-Seed", "X-Model", "X-Size", "X-Request-Id", "Retry-After", "Server-Timing"}
    asked = {**PREFLIGHT, "Access-Control-Request-Headers": "content-type, x-request-timeout"}
    assert (await client.options("/translate/horse2zebra", headers=asked)).status_code == 200
    stranger = {"Origin": "https://other.example.org"}
    assert "access-control-allow-origin" not in (await client.get("/mnist/sample", headers=stranger)).headers


LARGE = ["/mnist/sample?format=json&seed=1&count=64", "/openapi.json", "/metrics", "/docs/files/swagger-ui.css", "/"]


@pytest.mark.parametrize("path", LARGE)
async def test_large_text_is_compressed_when_asked(client: httpx.AsyncClient, path: str) -> None:
    plain, packed = [await client.get(path, headers={"Accept-Encoding": coding}) for coding in ("identity", "gzip")]
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["vary"]
    if path != "/metrics":
        assert packed.content == plain.content


@pytest.mark.parametrize("path", ["/healthz/live", "/mnist/sample?count=1024", "/mnist/sample?format=npy&count=1024"])
async def test_small_text_and_digits_are_not_compressed(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in response.headers


async def test_two_applications_keep_their_own_metrics(make_app: MakeApp, serve: Serve) -> None:
    one, two = await serve(make_app()), await serve(make_app())
    await one.get("/mnist/sample")
    assert 'route="/mnist/sample"' in (await one.get("/metrics")).text
    assert 'route="/mnist/sample"' not in (await two.get("/metrics")).text


async def test_shutdown_finishes_what_was_accepted(make_app: MakeApp, gate: Any) -> None:
    app = make_app()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        async with app.router.lifespan_context(app):
            request = asyncio.create_task(client.get("/mnist/sample"))
            await gate.reached()
            gate.opened.set()
        assert (await request).status_code == 200


def test_no_models_means_no_application(make_app: MakeApp, tmp_path: Path) -> None:
    with pytest.raises(CardError, match="no model in"):
        make_app(models=tmp_path)


def test_settings_default_to_the_environment(monkeypatch: pytest.MonkeyPatch, models: Path) -> None:
    monkeypatch.setenv("GAN_MODELS", str(models))
    monkeypatch.setenv("GAN_DEVICE", "cpu")
    monkeypatch.setenv("GAN_QUEUE_SIZE", "17")
    assert create_app().state.context.settings.queue_size == 17


def test_a_fallback_to_the_cpu_is_logged_with_its_reason(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    missing = cuda_driver.missing_part()
    with caplog.at_level(logging.INFO, "service"):
        make_app(device="auto")
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == (0 if missing is None else 3)
    assert all(str(missing) in warning for warning in warnings)


def test_a_fallback_to_fp32_is_logged_with_its_reason(
    make_app: MakeApp,
    tmp_path: Path,
    publish: Callable[..., Path],
    add_half: Callable[[Path], Path],
    seeming_cuda: dict[str, Exception],
    caplog: pytest.LogCaptureFixture,
) -> None:
    add_half(publish(tmp_path, "horse2zebra"))
    seeming_cuda[HALF_FILE] = RuntimeError("no kernel")
    with caplog.at_level(logging.INFO, "service"):
        make_app(models=tmp_path, device="auto")
    assert [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "service"] == [
        ("INFO", "serving horse2zebra/1 on CUDAExecutionProvider in fp32"),
        ("WARNING", "horse2zebra/1 runs in fp32 because its half-precision file failed: model.fp16.onnx: no kernel"),
    ]


async def test_a_run_that_hangs_does_not_keep_the_service(
    gate: Any, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(app_module, "STOP_SECONDS", 0.05)
    app = make_app()
    batcher = app.state.context.registry.models[0].batcher
    async with app.router.lifespan_context(app):
        request = asyncio.create_task(batcher.submit(np.zeros((1, 64, 64, 3), np.uint8), 60))
        await asyncio.sleep(0.05)
    assert app.state.context.lifecycle.hung
    assert "still runs" in caplog.text
    gate.opened.set()
    await asyncio.gather(request, return_exceptions=True)
