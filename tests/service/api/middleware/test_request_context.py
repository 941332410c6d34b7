import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, get_args

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.context import Lifecycle
from service.api.middleware.disconnect import CancelWhenGone
from service.api.middleware.request_context import ABORT, RequestContext, outcome_of
from service.telemetry.metrics import Metrics, Outcome

pytestmark = pytest.mark.anyio

Connect = Callable[..., Any]

Counted = Callable[[], dict[tuple[str, str], float]]


def client_of(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def lifecycle() -> Lifecycle:
    return Lifecycle()


async def identify(request: Request) -> Response:
    return PlainTextResponse(request.state.request_id)


async def fail(request: Request) -> Response:
    raise RuntimeError("secret")


async def break_off(request: Request) -> Response:
    async def stream() -> AsyncIterator[bytes]:
        yield b"begun"
        raise RuntimeError("secret")

    return StreamingResponse(stream())


@pytest.fixture
def context(metrics: Metrics, lifecycle: Lifecycle) -> httpx.AsyncClient:
    """A client of three small routes inside RequestContext."""
    routes = [Route("/id", identify), Route("/fail", fail), Route("/break-off", break_off)]
    app = Starlette(routes=routes)
    app.add_middleware(RequestContext, metrics=metrics, lifecycle=lifecycle)
    return client_of(app)


@pytest.fixture
def counted(metrics: Metrics) -> Callable[[], dict[tuple[str, str], float]]:
    """`counted()`: requests that ended, by (route, outcome)."""

    def read() -> dict[tuple[str, str], float]:
        (family,) = metrics.requests.collect()
        totals = [sample for sample in family.samples if sample.name == "gan_requests_total"]
        return {(sample.labels["route"], sample.labels["outcome"]): sample.value for sample in totals if sample.value}

    return read


@pytest.fixture
def timed(metrics: Metrics) -> Callable[[str, str], float | None]:
    """`timed(route, status)`: how many durations were noted."""

    def read(route: str, status: str) -> float | None:
        labels = {"route": route, "status": status}
        return metrics.registry.get_sample_value("gan_request_duration_seconds_count", labels)

    return read


async def test_every_response_has_a_request_id_that_the_route_knows(context: httpx.AsyncClient) -> None:
    responses = [await context.get("/id") for _ in range(2)]
    ids = [response.headers["x-request-id"] for response in responses]
    assert [response.text for response in responses] == ids
    assert ids[0] != ids[1]


async def test_a_clients_plain_request_id_is_kept(context: httpx.AsyncClient) -> None:
    response = await context.get("/id", headers={"X-Request-Id": "Trace-1.2_x"})
    assert response.headers["x-request-id"] == "Trace-1.2_x"


@pytest.mark.parametrize("sent", ["", "a b", "a" * 65, "a\tb", '{"a": 1}', "\xe4"])
async def test_any_other_request_id_is_replaced(context: httpx.AsyncClient, sent: str) -> None:
    response = await context.get("/id", headers={"X-Request-Id": sent.encode("latin-1")})
    assert len(response.headers["x-request-id"]) == 32
    assert response.headers["x-request-id"] != sent


async def test_a_response_closes_its_connection_while_the_service_drains(
    context: httpx.AsyncClient, lifecycle: Lifecycle
) -> None:
    assert "connection" not in (await context.get("/id")).headers
    lifecycle.draining = True
    assert (await context.get("/id")).headers["connection"] == "close"


async def test_an_unexpected_error_becomes_a_problem_without_its_text(
    context: httpx.AsyncClient, problem_of: Callable[..., dict[str, Any]]
) -> None:
    response = await context.get("/fail")
    problem_of(response, 500, "internal-error")
    assert "secret" not in response.text
    assert "Traceback" not in response.text


async def test_an_unexpected_error_is_logged_under_its_id(
    context: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await context.get("/fail", headers={"X-Request-Id": "quoted-by-client"})
    assert "quoted-by-client" in caplog.text
    assert "secret" in caplog.text


async def test_an_error_after_the_response_began_cuts_it(context: httpx.AsyncClient) -> None:
    with pytest.raises(RuntimeError, match="secret"):
        await context.get("/break-off")


async def test_requests_are_counted_by_route_and_outcome(context: httpx.AsyncClient, counted: Counted) -> None:
    for path in ("/id", "/nowhere", "/elsewhere", "/fail"):
        await context.get(path)
    with pytest.raises(RuntimeError):
        await context.get("/break-off")
    assert counted() == {
        ("/id", "ok"): 1,
        ("other", "bad_input"): 2,
        ("/fail", "failed"): 1,
        ("/break-off", "failed"): 1,
    }


async def test_durations_are_noted_by_route_and_status(
    context: httpx.AsyncClient, timed: Callable[[str, str], float | None]
) -> None:
    for path in ("/id", "/id", "/fail"):
        await context.get(path)
    assert (timed("/id", "200"), timed("/fail", "500"), timed("/id", "500")) == (2, 1, None)


async def test_invented_methods_and_paths_make_no_new_series(context: httpx.AsyncClient, counted: Counted) -> None:
    for i in range(20):
        await context.request(f"BREW{i}", "/id")
        await context.get(f"/wp-{i}")
    assert counted() == {("/id", "bad_input"): 20, ("other", "bad_input"): 20}


async def test_every_outcome_of_a_route_is_there_from_its_first_request(
    context: httpx.AsyncClient, metrics: Metrics
) -> None:
    await context.get("/id")
    for outcome in get_args(Outcome):
        value = metrics.registry.get_sample_value("gan_requests_total", {"route": "/id", "outcome": outcome})
        assert value == (outcome == "ok")


async def test_an_unmeasured_path_is_not_counted(metrics: Metrics, counted: Counted) -> None:
    app = Starlette(routes=[Route("/id", identify), Route("/probe", identify)])
    app.add_middleware(RequestContext, metrics=metrics, lifecycle=Lifecycle(), unmeasured={"/probe"})
    client = client_of(app)
    assert (await client.get("/probe")).headers["x-request-id"]
    await client.get("/id")
    assert counted() == {("/id", "ok"): 1}


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "ok"),
        (304, "ok"),
        (400, "bad_input"),
        (404, "bad_input"),
        (408, "deadline"),
        (413, "bad_input"),
        (422, "bad_input"),
        (499, "cancelled"),
        (500, "failed"),
        (503, "rejected"),
        (504, "deadline"),
    ],
)
def test_a_status_has_one_outcome(status: int, outcome: str) -> None:
    assert outcome_of(status) == outcome


async def test_requests_in_flight_are_those_that_have_not_ended(connect: Connect, metrics: Metrics) -> None:
    def in_flight() -> float | None:
        return metrics.registry.get_sample_value("gan_requests_in_flight")

    begun, may_end = asyncio.Event(), asyncio.Event()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await may_end.wait()
        raise RuntimeError

    client = connect()
    assert in_flight() == 0
    request = asyncio.create_task(RequestContext(wait, metrics, Lifecycle())(client.scope, client.receive, client.send))
    await begun.wait()
    assert in_flight() == 1
    may_end.set()
    await request
    assert in_flight() == 0


@pytest.mark.parametrize("begun", [False, True])
async def test_a_request_that_the_drain_cuts_has_failed_and_is_told(
    connect: Connect, metrics: Metrics, counted: Counted, begun: bool
) -> None:
    reached = asyncio.Event()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        reached.set()
        await asyncio.sleep(60)

    client = connect()
    request = asyncio.create_task(RequestContext(wait, metrics, Lifecycle())(client.scope, client.receive, client.send))
    await reached.wait()
    request.cancel()
    await request
    assert counted() == {("other", "failed"): 1}
    assert [message.get("status") for message in client.sent] == ([200] if begun else [503, None])
    if not begun:
        assert b"urn:gan:problem:draining" in client.sent[1]["body"]
        assert (b"connection", b"close") in client.sent[0]["headers"]


async def test_a_hang_up_is_counted_as_499_and_not_logged(
    connect: Connect,
    metrics: Metrics,
    counted: Counted,
    timed: Callable[[str, str], float | None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def read(scope: Scope, receive: Receive, send: Send) -> None:
        raise ClientDisconnect

    client = connect("POST")
    await RequestContext(read, metrics, Lifecycle())(client.scope, client.receive, client.send)
    assert counted() == {("other", "cancelled"): 1}
    assert timed("other", "499") == 1
    assert client.sent == []
    assert caplog.text == ""


@pytest.mark.parametrize("raises", [False, True])
async def test_a_response_that_the_client_does_not_take_is_a_cancellation(
    connect: Connect,
    metrics: Metrics,
    counted: Counted,
    timed: Callable[[str, str], float | None],
    caplog: pytest.LogCaptureFixture,
    raises: bool,
) -> None:
    async def begin(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        if raises:
            raise ClientDisconnect

    client = connect()
    client.scope["state"] = {ABORT: client.hang_up.set}
    await asyncio.wait_for(RequestContext(begin, metrics, Lifecycle())(client.scope, client.receive, client.send), 10)
    assert client.hang_up.is_set()
    assert counted() == {("other", "cancelled"): 1}
    assert timed("other", "200") == 1
    assert caplog.text == ""


async def test_a_hang_up_while_the_response_is_awaited_is_a_cancellation(
    connect: Connect, metrics: Metrics, counted: Counted
) -> None:
    client, begun = connect(), asyncio.Event()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await asyncio.sleep(60)

    app = RequestContext(CancelWhenGone(wait), metrics, Lifecycle())
    request = asyncio.create_task(app(client.scope, client.receive, client.send))
    await begun.wait()
    client.hang_up.set()
    await asyncio.wait_for(request, 10)
    assert counted() == {("other", "cancelled"): 1}
