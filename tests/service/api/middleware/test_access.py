import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.access import keys
from service.telemetry import logs

pytestmark = pytest.mark.anyio

MakeApp = Callable[..., FastAPI]
Serve = Callable[[FastAPI], Awaitable[httpx.AsyncClient]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def key(path: Path) -> str:
    return keys.add(path, "alice")


@pytest.fixture
async def guarded(key: str, path: Path, make_app: MakeApp, serve: Serve) -> httpx.AsyncClient:
    """A client of a service with keys."""
    return await serve(make_app(keys=path))


@pytest.mark.parametrize(
    ("method", "path_"),
    [("GET", "/mnist/sample"), ("POST", "/translate/horse2zebra"), ("GET", "/models"), ("GET", "/metrics"),
     ("GET", "/nowhere"), ("OPTIONS", "/models"), ("GET", "/models/"), ("HEAD", "/mnist/sample")],
)  # fmt: skip
async def test_a_request_without_a_key_is_refused(guarded: httpx.AsyncClient, method: str, path_: str) -> None:
    response = await guarded.request(method, path_)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="gan-serving"'
    if method != "HEAD":
        assert response.json()["type"] == "urn:gan:problem:key-missing"
        assert response.json()["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize(
    "headers", [{"Authorization": "Bearer {}"}, {"authorization": "bearer   {}"}, {"X-API-Key": "{}"}]
)
async def test_a_key_comes_in_either_header(guarded: httpx.AsyncClient, key: str, headers: dict[str, str]) -> None:
    filled = {name: value.format(key) for name, value in headers.items()}
    assert (await guarded.get("/mnist/sample", headers=filled)).status_code == 200
    wrong = {name: value.format(key[:-2] + "xx") for name, value in headers.items()}
    response = await guarded.get("/mnist/sample", headers=wrong)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="gan-serving", error="invalid_token"'
    assert key not in response.text


async def test_a_response_to_a_key_is_not_for_shared_caches(guarded: httpx.AsyncClient, key: str) -> None:
    headers = {"X-API-Key": key}
    seeded = await guarded.get("/mnist/sample?seed=1", headers=headers)
    assert seeded.headers["cache-control"] == "private, max-age=3600"
    again = await guarded.get("/mnist/sample?seed=1", headers={**headers, "If-None-Match": seeded.headers["etag"]})
    assert (again.status_code, again.headers["cache-control"]) == (304, "private, max-age=3600")
    assert (await guarded.get("/mnist/sample", headers=headers)).headers["cache-control"] == "no-store"


async def test_either_header_may_be_a_proxys(guarded: httpx.AsyncClient, key: str) -> None:
    for headers in (
        {"Authorization": "Bearer other", "X-API-Key": key},
        {"Authorization": f"Bearer {key}", "X-API-Key": "other"},
    ):
        assert (await guarded.get("/mnist/sample", headers=headers)).status_code == 200


async def test_credentials_of_other_schemes_may_be_a_proxys(guarded: httpx.AsyncClient, key: str) -> None:
    headers = {"Authorization": "Basic YTpi", "X-API-Key": key}
    assert (await guarded.get("/mnist/sample", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "path_", ["/v2/health/ready", "/healthz/live", "/healthz/ready", "/healthz/startup", "/", "/docs", "/openapi.json"]
)
async def test_probes_and_documentation_need_no_key(guarded: httpx.AsyncClient, path_: str) -> None:
    assert (await guarded.get(path_)).status_code == 200


@pytest.mark.parametrize(
    ("chosen", "statuses"),
    [("", (401, 401)), ("docs", (200, 401)), ("metrics", (401, 200)), ("docs, metrics", (200, 200))],
)
async def test_what_needs_no_key_is_chosen(
    key: str, path: Path, make_app: MakeApp, serve: Serve, chosen: str, statuses: tuple[int, int]
) -> None:
    client = await serve(make_app(keys=path, open_without_key=chosen))
    assert tuple([(await client.get(p)).status_code for p in ("/docs", "/metrics")]) == statuses
    assert (await client.get("/healthz/live")).status_code == 200


async def test_a_refused_upload_is_not_read(guarded: httpx.AsyncClient) -> None:
    sent = 0

    async def body():  # type: ignore[no-untyped-def]
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield bytes(1000)

    assert (await guarded.post("/translate/horse2zebra", content=body())).status_code == 401
    assert sent == 0


async def test_the_name_of_the_key_is_logged_and_counted_and_the_key_is_not(
    guarded: httpx.AsyncClient, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger=logs.access.name)
    await guarded.get("/mnist/sample", headers={"X-API-Key": key})
    fields = [getattr(record, logs.FIELDS) for record in caplog.records if hasattr(record, logs.FIELDS)]
    assert [entry["key"] for entry in fields] == ["alice"]
    metrics = (await guarded.get("/metrics", headers={"X-API-Key": key})).text
    assert 'gan_key_requests_total{key="alice",outcome="ok"} 1.0' in metrics
    assert key not in caplog.text + metrics + json.dumps(fields)


async def test_keys_are_counted_by_name_up_to_a_bound(path: Path, make_app: MakeApp, serve: Serve) -> None:
    made = [keys.KEY_PREFIX + str(number) for number in range(120)]
    lines = "".join(f"client-{n} {keys.hash_of(key)}\n" for n, key in enumerate(made))
    await asyncio.to_thread(path.write_text, lines)
    client = await serve(make_app(keys=path))
    for key in made:
        await client.get("/nowhere", headers={"X-API-Key": key})
    metrics = (await client.get("/metrics", headers={"X-API-Key": made[0]})).text
    counted = [line for line in metrics.splitlines() if line.startswith("gan_key_requests_total")]
    assert len(counted) == 101
    assert 'gan_key_requests_total{key="other",outcome="bad_input"} 20.0' in counted


async def test_a_rotation_under_load_refuses_no_request_with_a_valid_key(
    path: Path, key: str, guarded: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "CHECK_SECONDS", 0.0)
    current, statuses, stop = [key], [], asyncio.Event()

    async def call() -> None:
        while not stop.is_set():
            statuses.append((await guarded.get("/mnist/sample", headers={"X-API-Key": current[0]})).status_code)

    callers = [asyncio.create_task(call()) for _ in range(4)]
    for _ in range(5):
        old, new = current[0], await asyncio.to_thread(keys.add, path, "alice")
        current[0] = new
        await asyncio.sleep(0.05)  # requests with the old key are still under way
        await asyncio.to_thread(keys.remove, path, "alice", keys.hash_of(old)[:8])
        await asyncio.sleep(0.02)
        assert (await guarded.get("/mnist/sample", headers={"X-API-Key": old})).status_code == 401
    stop.set()
    await asyncio.gather(*callers)
    assert set(statuses) == {200}


async def test_images_count_towards_the_limit_of_an_address(
    make_app: MakeApp, serve: Serve, noise: Any, encoded: Any
) -> None:
    client, upload = await serve(make_app(rate_limit="10/hour")), encoded(noise(64, 64), "JPEG")
    first = await client.get("/mnist/sample?count=8")
    assert first.headers["ratelimit-policy"] == '"images";q=10;w=3600'
    assert first.headers["ratelimit"].startswith('"images";r=2;t=')
    assert (
        (await client.post("/translate/horse2zebra", content=upload)).headers["ratelimit"].startswith('"images";r=1;')
    )
    refused = await client.get("/mnist/sample?count=2")
    assert (refused.status_code, refused.json()["type"]) == (429, "urn:gan:problem:rate-limited")
    assert 3590 <= int(refused.headers["retry-after"]) <= 3600
    assert (await client.get("/mnist/sample")).headers["ratelimit"].startswith('"images";r=0;')
    assert (await client.get("/models")).status_code == 200  # has no images
    too_many = await client.get("/mnist/sample?count=11")
    assert (too_many.status_code, too_many.json()["type"]) == (429, "urn:gan:problem:over-the-limit")
    assert "ratelimit" not in (await client.get("/models")).headers


async def test_each_key_has_its_own_limit(path: Path, key: str, make_app: MakeApp, serve: Serve) -> None:
    other = keys.add(path, "bob")
    client = await serve(make_app(keys=path, rate_limit="1/hour"))
    statuses = [(await client.get("/mnist/sample", headers={"X-API-Key": k})).status_code for k in (key, key, other)]
    assert statuses == [200, 429, 200]


async def test_a_repeated_digit_that_the_client_has_does_not_count(make_app: MakeApp, serve: Serve) -> None:
    client = await serve(make_app(rate_limit="1/hour"))
    etag = (await client.get("/mnist/sample?seed=1")).headers["etag"]
    assert (await client.get("/mnist/sample?seed=1", headers={"If-None-Match": etag})).status_code == 304


async def test_items_of_the_inference_protocol_count_too(make_app: MakeApp, serve: Serve) -> None:
    client = await serve(make_app(rate_limit="3/hour"))
    seeds = {"name": "seed", "datatype": "UINT64", "shape": [2], "data": [1, 2]}
    first = await client.post("/v2/models/mnist/infer", json={"inputs": [seeds]})
    assert (first.status_code, first.headers["ratelimit"][:12]) == (200, '"images";r=1')
    refused = await client.post("/v2/models/mnist/infer", json={"inputs": [seeds]})
    assert (refused.status_code, refused.json()["type"]) == (429, "urn:gan:problem:rate-limited")


async def test_what_the_queue_refuses_does_not_count(make_app: MakeApp, serve: Serve, monkeypatch: Any) -> None:
    app = make_app(rate_limit="10/hour")
    client = await serve(app)
    for path_ in ("/mnist/sample?count=2", "/mnist/interpolate?from=1&to=2&steps=3"):
        late = await client.get(path_, headers={"X-Request-Timeout": "0.000001"})
        assert late.status_code == 504
        assert "ratelimit" not in late.headers
    assert (await client.get("/mnist/sample")).headers["ratelimit"].startswith('"images";r=9;')


async def test_an_archive_counts_once_and_not_when_it_is_refused(
    make_app: MakeApp, serve: Serve, noise: Any, encoded: Any
) -> None:
    client, upload = await serve(make_app(rate_limit="5/hour")), encoded(noise(64, 64), "JPEG")

    async def send(number: int) -> httpx.Response:
        return await client.post(
            "/translate/horse2zebra", files=[("file", (f"{n}.jpg", upload)) for n in range(number)]
        )

    assert (await send(6)).json()["type"] == "urn:gan:problem:over-the-limit"
    first = await send(3)
    assert first.headers.get_list("ratelimit", split_commas=False)[0].startswith('"images";r=2;')
    assert len(first.headers.get_list("ratelimit-policy", split_commas=False)) == 1
    refused = await send(3)
    assert refused.status_code == 429
    assert len(refused.headers.get_list("ratelimit", split_commas=False)) == 1
    assert (await send(2)).headers["ratelimit"].startswith('"images";r=0;')
    for path_, kind in (("/translate/horse2zebra", "image/png"), ("/mnist/sample", "application/json")):
        at_the_door = await client.post(path_, content=b"wrong", headers={"Content-Type": kind})
        assert at_the_door.status_code == 429  # before the body is looked at
