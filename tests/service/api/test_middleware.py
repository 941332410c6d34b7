import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, get_args

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api import middleware
from service.api.context import Lifecycle
from service.api.middleware import BodyLimit, CancelWhenGone, RequestContext, outcome_of
from service.errors import Problem
from service.telemetry.metrics import Metrics, Outcome

pytestmark = pytest.mark.anyio

LIMIT = 1000

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


async def test_requests_in_flight_are_those_that_have_not_ended(metrics: Metrics) -> None:
    def in_flight() -> float | None:
        return metrics.registry.get_sample_value("gan_requests_in_flight")

    begun, may_end = asyncio.Event(), asyncio.Event()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await may_end.wait()
        raise RuntimeError

    client = Client()
    assert in_flight() == 0
    request = asyncio.create_task(RequestContext(wait, metrics, Lifecycle())(client.scope, client.receive, client.send))
    await begun.wait()
    assert in_flight() == 1
    may_end.set()
    await request
    assert in_flight() == 0


@pytest.mark.parametrize("begun", [False, True])
async def test_a_request_that_the_drain_cuts_has_failed_and_is_told(
    metrics: Metrics, counted: Counted, begun: bool
) -> None:
    reached = asyncio.Event()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        reached.set()
        await asyncio.sleep(60)

    client = Client()
    request = asyncio.create_task(RequestContext(wait, metrics, Lifecycle())(client.scope, client.receive, client.send))
    await reached.wait()
    request.cancel()
    await request
    assert counted() == {("other", "failed"): 1}
    assert [message.get("status") for message in client.sent] == ([200] if begun else [503, None])
    if not begun:
        assert b"urn:gan:problem:draining" in client.sent[1]["body"]
        assert (b"connection", b"close") in client.sent[0]["headers"]


class Upload:
    """A body that is sent in chunks and counts how many were taken."""

    def __init__(self, chunks: int, size: int) -> None:
        self.taken, self._chunks, self._size = 0, chunks, size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self._chunks):
            self.taken += 1
            yield bytes(self._size)


@pytest.fixture
def limited() -> httpx.AsyncClient:
    """A client of a route that reads its body, inside BodyLimit."""

    async def size(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    async def on_problem(request: Request, error: Problem) -> Response:
        return PlainTextResponse(error.detail, error.status, headers=error.headers)

    app = Starlette(routes=[Route("/", size, methods=["POST"])], exception_handlers={Problem: on_problem})
    app.add_middleware(BodyLimit, limit_bytes=LIMIT, all_bytes=2 * LIMIT)
    return client_of(app)


@pytest.mark.parametrize("body", [bytes(LIMIT), Upload(1, LIMIT), Upload(10, LIMIT // 10)])
async def test_a_body_of_just_the_limit_passes(limited: httpx.AsyncClient, body: bytes | Upload) -> None:
    response = await limited.post("/", content=body)
    assert (response.status_code, response.text) == (200, str(LIMIT))


async def test_a_body_that_announces_too_much_is_never_read(limited: httpx.AsyncClient) -> None:
    upload = Upload(100, 100)
    response = await limited.post("/", content=upload, headers={"Content-Length": "10000"})
    assert response.status_code == 413
    assert upload.taken == 0


async def test_a_body_that_announces_nothing_is_read_up_to_the_limit(limited: httpx.AsyncClient) -> None:
    upload = Upload(100, 100)
    response = await limited.post("/", content=upload)
    assert response.status_code == 413
    assert upload.taken == LIMIT // 100 + 1


async def test_a_body_that_announces_too_little_is_read_up_to_the_limit(limited: httpx.AsyncClient) -> None:
    upload = Upload(100, 100)
    response = await limited.post("/", content=upload, headers={"Content-Length": "5"})
    assert response.status_code == 413
    assert upload.taken == LIMIT // 100 + 1


async def test_a_refused_body_closes_the_connection_and_says_the_limit(limited: httpx.AsyncClient) -> None:
    response = await limited.post("/", content=bytes(LIMIT + 1))
    assert response.headers["connection"] == "close"
    assert "1,000 bytes" in response.text


async def test_a_route_that_reads_no_body_responds_however_large_it_is(limited: httpx.AsyncClient) -> None:
    assert (await limited.post("/nowhere", content=bytes(LIMIT + 1))).status_code == 404


async def test_bodies_together_are_read_up_to_a_limit_too(limited: httpx.AsyncClient) -> None:
    arrived, rest = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield bytes(LIMIT - 1)
        arrived.set()
        await rest.wait()
        yield bytes(1)

    slow = [asyncio.create_task(limited.post("/", content=slowly())) for _ in range(2)]
    await arrived.wait()
    await asyncio.sleep(0.05)
    announced, unannounced = Upload(2, 5), Upload(2, 5)
    responses = [
        await limited.post("/", content=announced, headers={"Content-Length": "10"}),
        await limited.post("/", content=unannounced),
    ]
    assert [(response.status_code, response.headers["retry-after"]) for response in responses] == [
        (503, "1"),
        (503, "1"),
    ]
    assert (announced.taken, unannounced.taken) == (0, 1)
    rest.set()
    assert [(await request).status_code for request in slow] == [200, 200]
    assert (await limited.post("/", content=bytes(LIMIT))).status_code == 200  # what was held is given back


class Client:
    """One side of a connection, by hand: a request without a body, that hangs up when told to."""

    def __init__(self, method: str = "GET", body: bytes | None = None) -> None:
        self.sent: list[Message] = []
        self.hang_up = asyncio.Event()
        self.scope: dict[str, Any] = {
            "type": "http", "method": method, "path": "/", "headers": [], "query_string": b"", "root_path": "",
        }  # fmt: skip
        self._messages = [{"type": "http.request", "body": body or b"", "more_body": False}]

    async def receive(self) -> Message:
        if self._messages:
            return self._messages.pop(0)
        await self.hang_up.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_ends_when_its_client_hangs_up(method: str) -> None:
    client, reached, outcome = Client(method, b"body"), asyncio.Event(), []

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        if method == "POST":
            await receive()
        reached.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            outcome.append("cancelled")
            raise

    request = asyncio.create_task(CancelWhenGone(wait)(client.scope, client.receive, client.send))
    await reached.wait()
    client.hang_up.set()
    await asyncio.wait_for(request, 10)
    assert outcome == ["cancelled"]
    assert client.sent == []


async def test_a_response_that_has_begun_is_not_cancelled() -> None:
    client, finished = Client(), asyncio.Event()

    async def response(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        client.hang_up.set()
        await asyncio.sleep(0.02)
        finished.set()

    await CancelWhenGone(response)(client.scope, client.receive, client.send)
    assert finished.is_set()


async def test_a_response_is_not_cancelled_though_its_route_reads_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "UNWATCHED_SECONDS", 0.01)
    client, finished = Client(), asyncio.Event()

    async def response(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        client.hang_up.set()
        await asyncio.sleep(0.05)
        finished.set()

    await CancelWhenGone(response)(client.scope, client.receive, client.send)
    assert finished.is_set()


async def test_a_cancellation_from_elsewhere_passes_through() -> None:
    client, reached = Client(), asyncio.Event()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        reached.set()
        await asyncio.sleep(60)

    request = asyncio.create_task(CancelWhenGone(wait)(client.scope, client.receive, client.send))
    await reached.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


async def test_a_hang_up_is_counted_as_499_and_not_logged(
    metrics: Metrics, counted: Counted, timed: Callable[[str, str], float | None], caplog: pytest.LogCaptureFixture
) -> None:
    async def read(scope: Scope, receive: Receive, send: Send) -> None:
        raise ClientDisconnect

    client = Client("POST")
    await RequestContext(read, metrics, Lifecycle())(client.scope, client.receive, client.send)
    assert counted() == {("other", "cancelled"): 1}
    assert timed("other", "499") == 1
    assert client.sent == []
    assert caplog.text == ""


async def test_a_hang_up_while_the_response_is_awaited_is_a_cancellation(metrics: Metrics, counted: Counted) -> None:
    client, begun = Client(), asyncio.Event()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await asyncio.sleep(60)

    app = RequestContext(CancelWhenGone(wait), metrics, Lifecycle())
    request = asyncio.create_task(app(client.scope, client.receive, client.send))
    await begun.wait()
    client.hang_up.set()
    await asyncio.wait_for(request, 10)
    assert counted() == {("other", "cancelled"): 1}
