import asyncio
import platform
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import onnxruntime
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from service.api import status
from service.card import MODEL_FILE, sha256_of
from service.engine.health import FAILURES_IN_A_ROW
from service.runtime import cuda_driver

pytestmark = pytest.mark.anyio


async def samples(client: httpx.AsyncClient, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """Values of a metric by their sorted labels."""
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    found = [sample for family in text_string_to_metric_families(response.text) for sample in family.samples]
    return {tuple(sorted(sample.labels.items())): sample.value for sample in found if sample.name == name}


def labels(**named: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(named.items()))


@pytest.mark.parametrize("probe", ["live", "ready", "startup"])
async def test_probes_respond(client: httpx.AsyncClient, probe: str) -> None:
    response = await client.get(f"/healthz/{probe}")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_requests_are_counted_by_route_and_outcome(client: httpx.AsyncClient) -> None:
    await client.get("/mnist/sample")
    await client.get("/mnist/sample")
    await client.get("/mnist/sample?count=0")
    await client.post("/translate/cat2dog")
    for path in ("/a", "/b/c", "/models/1", "/wp-login.php"):
        await client.get(path)
    counted = {key: value for key, value in (await samples(client, "gan_requests_total")).items() if value}
    assert counted == {
        labels(route="/mnist/sample", outcome="ok"): 2,
        labels(route="/mnist/sample", outcome="bad_input"): 1,
        labels(route="/translate/{direction}", outcome="bad_input"): 1,
        labels(route="other", outcome="bad_input"): 4,
    }


async def test_probes_and_scrapes_are_not_counted(client: httpx.AsyncClient) -> None:
    for path in status.PATHS:
        await client.get(path)
    assert await samples(client, "gan_requests_total") == {}
    assert await samples(client, "gan_requests_in_flight") == {(): 0}


def test_the_paths_are_those_of_the_routes() -> None:
    assert {route.path for route in status.router.routes} == status.PATHS


async def test_durations_are_counted_by_route_and_status(client: httpx.AsyncClient) -> None:
    await client.get("/models")
    counts = await samples(client, "gan_request_duration_seconds_count")
    assert counts == {labels(route="/models", status="200"): 1}


async def test_ready_says_that_the_service_drains_and_live_does_not(
    make_app: Callable[..., FastAPI],
    serve: Callable[[FastAPI], Awaitable[httpx.AsyncClient]],
    problem_of: Callable[..., dict[str, Any]],
) -> None:
    app = make_app()
    client = await serve(app)
    app.state.context.lifecycle.draining = True
    problem_of(await client.get("/healthz/ready"), 503, "draining")
    for probe in ("live", "startup"):
        assert (await client.get(f"/healthz/{probe}")).status_code == 200


async def test_ready_tells_that_large_images_are_refused_while_others_are_served(
    make_app: Callable[..., FastAPI],
    serve: Callable[[FastAPI], Awaitable[httpx.AsyncClient]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = make_app()
    client = await serve(app)
    monkeypatch.setattr(app.state.context.codecs, "heavy_full_for", lambda seconds: 12)
    response = await client.get("/healthz/ready")
    assert (response.status_code, response.json()["large_images"]) == (200, "refused for about 12 s")


async def test_ready_says_that_no_image_can_be_decoded(
    make_app: Callable[..., FastAPI],
    serve: Callable[[FastAPI], Awaitable[httpx.AsyncClient]],
    problem_of: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = make_app()
    client = await serve(app)
    monkeypatch.setattr(app.state.context.codecs, "light_full_for", lambda seconds: 12)
    problem_of(await client.get("/healthz/ready"), 503, "codecs-busy")
    assert (await client.get("/healthz/live")).status_code == 200


async def test_codec_work_and_refusals_have_series_from_the_start(client: httpx.AsyncClient) -> None:
    assert await samples(client, "gan_codec_jobs") == {labels(lane=lane): 0 for lane in ("light", "heavy")}
    assert await samples(client, "gan_codec_refusals_total") == {
        labels(reason=reason): 0 for reason in ("busy", "costly")
    }


async def test_batch_sizes_are_counted_by_model(client: httpx.AsyncClient) -> None:
    await client.get("/mnist/sample?count=5")
    await client.get("/mnist/sample?count=1")
    model = {"model": "mnist/1"}
    assert await samples(client, "gan_batch_items_count") == {labels(**model): 2}
    assert await samples(client, "gan_batch_items_sum") == {labels(**model): 6}
    buckets = await samples(client, "gan_batch_items_bucket")
    assert [buckets[labels(le=le, **model)] for le in ("1.0", "4.0", "8.0", "+Inf")] == [1, 1, 2, 2]


async def test_codec_times_are_counted_by_format(client: httpx.AsyncClient, encoded: Any, noise: Any) -> None:
    for kind in ("png", "npy", "json"):
        await client.get(f"/mnist/sample?format={kind}")
    for sent, wanted in (("PNG", "webp"), ("JPEG", "jpeg"), ("WEBP", "jpeg")):
        response = await client.post(
            f"/translate/horse2zebra?format={wanted}",
            content=encoded(noise(40, 30), sent),
            headers={"Content-Type": "image/png"},
        )
        assert response.status_code == 200
    await client.post("/translate/horse2zebra", content=b"no image", headers={"Content-Type": "image/png"})
    decoded = await samples(client, "gan_decode_duration_seconds_count")
    assert decoded == {labels(format=kind): 1 for kind in ("png", "jpeg", "webp")}
    written = await samples(client, "gan_encode_duration_seconds_count")
    assert written == {
        labels(format=kind): count for kind, count in (("npy", 1), ("json", 1), ("png", 1), ("webp", 1), ("jpeg", 2))
    }


async def test_build_info_names_the_versions(client: httpx.AsyncClient) -> None:
    ((key, value),) = (await samples(client, "gan_build_info")).items()
    assert value == 1
    assert dict(key) == {
        "version": version("gan-serving"),
        "onnxruntime": onnxruntime.__version__,
        "python": platform.python_version(),
    }


async def test_strangers_make_no_series(client: httpx.AsyncClient) -> None:
    async def series() -> int:
        text = (await client.get("/metrics")).text
        return sum(not line.startswith("#") for line in text.splitlines())

    async def ask(i: int) -> None:
        await client.get(f"/no/{i}")
        await client.request(f"VERB{i}", "/models")
        await client.post(f"/translate/direction{i}")
        await client.get(f"/mnist/sample?model=model{i}&format=f{i}")
        await client.post("/translate/horse2zebra", content=b"x", headers={"Content-Type": f"image/kind{i}"})

    await ask(0)
    before = await series()
    for i in range(1, 20):
        await ask(i)
    assert await series() == before


async def test_failures_are_there_for_every_model_and_reason_from_the_start(client: httpx.AsyncClient) -> None:
    failures = await samples(client, "gan_inference_failures_total")
    assert {dict(key)["reason"] for key in failures} == {"out_of_memory", "device_lost", "other"}
    assert (len(failures), set(failures.values())) == (9, {0.0})


async def test_queue_depth_is_there_for_every_model_from_the_start(client: httpx.AsyncClient) -> None:
    expected = {labels(model=f"{name}/1"): 0.0 for name in ("mnist", "horse2zebra", "zebra2horse")}
    assert await samples(client, "gan_queue_depth") == expected


async def test_queue_depth_counts_those_that_wait(
    gate: Any,
    make_app: Callable[..., FastAPI],
    serve: Callable[[FastAPI], Awaitable[httpx.AsyncClient]],
) -> None:
    client = await serve(make_app())
    requests = [asyncio.create_task(client.get("/mnist/sample"))]
    await gate.reached()
    requests += [asyncio.create_task(client.get("/mnist/sample")) for _ in range(3)]
    async with asyncio.timeout(30):
        while (await samples(client, "gan_queue_depth"))[labels(model="mnist/1")] < 3:
            pass
    gate.opened.set()
    await asyncio.gather(*requests)
    assert (await samples(client, "gan_queue_depth"))[labels(model="mnist/1")] == 0


async def test_model_info_names_version_provider_precision_and_hash(client: httpx.AsyncClient, models: Path) -> None:
    digest = sha256_of(models / "mnist" / "1" / MODEL_FILE)
    key = labels(
        model="mnist/1",
        version="1",
        task="sample",
        provider="CPUExecutionProvider",
        precision="fp32",
        sha256=digest,
    )
    info = await samples(client, "gan_model_info")
    assert info[key] == 1
    assert len(info) == 3


@pytest.mark.parametrize("device", ["cpu", "auto"])
async def test_a_fallback_to_the_cpu_shows(
    make_app: Callable[..., FastAPI], serve: Callable[[FastAPI], Awaitable[httpx.AsyncClient]], device: str
) -> None:
    client = await serve(make_app(device=device))
    fell_back = device == "auto" and cuda_driver.missing_part() is not None
    assert await samples(client, "gan_device_fallback") == {(): float(fell_back)}


async def test_a_model_that_fails_again_and_again_turns_the_probes(
    gate: Any,
    make_app: Callable[..., FastAPI],
    serve: Callable[[FastAPI], Awaitable[httpx.AsyncClient]],
    problem_of: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = await serve(make_app())
    gate.opened.set()
    gate.error = RuntimeError("CUDA failure 719: unspecified launch failure ; GPU=0")
    for _ in range(FAILURES_IN_A_ROW):
        assert (await client.get("/healthz/ready")).status_code == 200
        assert (await client.get("/mnist/sample")).status_code == 500
    problem = problem_of(await client.get("/healthz/ready"), 503, "model-failing")
    assert "mnist/1" in problem["detail"]
    assert (await client.get("/healthz/live")).status_code == 200
    monkeypatch.setattr(status, "LOST_AFTER_SECONDS", 0)
    problem_of(await client.get("/healthz/live"), 503, "model-failing")
    failures = await samples(client, "gan_inference_failures_total")
    assert failures[labels(model="mnist/1", reason="device_lost")] == FAILURES_IN_A_ROW
    gate.error = None
    assert (await client.get("/mnist/sample")).status_code == 200
    assert (await client.get("/healthz/ready")).status_code == 200
