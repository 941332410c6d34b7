"""Middleware around every request: ids and metrics, a limit on bodies, cancellation when a client disconnects.

Plain ASGI, because Starlette's BaseHTTPMiddleware hides a client's disconnect.
"""

import asyncio
import random
import re
import time
from collections.abc import Container, Iterable
from typing import cast

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.context import Lifecycle
from service.api.params import header
from service.api.problems import cut_off, unexpected
from service.errors import Problem
from service.telemetry.logs import RequestIds, log_access, request_ids
from service.telemetry.metrics import Metrics, Outcome
from service.telemetry.tracing import span_ids, trace_id_of

GONE = 499
"""Status under which a request is counted whose client disconnected before the response."""
UNWATCHED_SECONDS = 0.1
"""Time after a request's last byte during which a disconnect goes unnoticed."""
OTHER = "other"
"""Route under which requests are counted that match no route."""
_METHODS = {method: method for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")}
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestContext:
    """Gives the request an id (the client's X-Request-Id if it is a plain word), counts, times and logs it.

    While the service drains, every response closes its connection, so that none is cut between two requests.
    Requests for a path in `unmeasured` are not counted: probes and scrapes would hide what clients see.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, lifecycle: Lifecycle, unmeasured: Container[str] = ()) -> None:
        self._app, self._metrics, self._lifecycle, self._unmeasured = app, metrics, lifecycle, unmeasured

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status, sent_bytes = time.perf_counter(), 0, 0
        ids = _ids(scope["headers"])
        scope.setdefault("state", {})["request_id"] = ids.request_id
        token = request_ids.set(ids)
        measured = scope["path"] not in self._unmeasured
        if measured:
            self._metrics.request_begins()

        async def send_with_id(message: Message) -> None:
            nonlocal status, sent_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], (b"x-request-id", ids.request_id.encode())]
                if self._lifecycle.draining:
                    headers = [(name, value) for name, value in headers if name != b"connection"]
                    headers.append((b"connection", b"close"))
                message["headers"] = headers
            else:
                sent_bytes += len(message.get("body", b""))
            await send(message)

        outcome: Outcome | None = None
        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:  # while the body was being read
            pass
        except Exception:  # an error that no route expects is logged and reported here, once
            if status:  # the response has begun: it can only be cut
                outcome = "failed"
                raise
            await unexpected(ids.request_id)(scope, receive, send_with_id)
        except asyncio.CancelledError:  # the drain took too long
            outcome = "failed"
            if not status:  # a response that has begun is closed by the server
                await cut_off(ids.request_id)(scope, receive, send_with_id)
        finally:
            if measured:
                status = status or GONE
                outcome = outcome or outcome_of(status)
                route = getattr(scope.get("route"), "path", OTHER)
                seconds = time.perf_counter() - start
                self._metrics.request_ends(route, status, outcome, seconds)
                log_access(_METHODS.get(scope["method"], "OTHER"), route, status, outcome, seconds, sent_bytes)
            request_ids.reset(token)


def _ids(headers: Iterable[tuple[bytes, bytes]]) -> RequestIds:
    """Returns the client's request and trace ids where they are valid, otherwise new ones."""
    request_id, traceparents = b"", []
    for name, value in headers:
        if name == b"x-request-id":
            request_id = value
        elif name == b"traceparent":
            traceparents.append(value)
    fresh = f"{random.getrandbits(320):080x}"  # identifies requests, is no secret
    kept = request_id.decode() if _REQUEST_ID.fullmatch(request_id) else fresh[:32]
    trace_id, span_id = span_ids() or (trace_id_of(traceparents) or fresh[32:64], fresh[64:])
    return RequestIds(kept, trace_id, span_id)


def outcome_of(status: int) -> Outcome:
    """Returns the outcome of a request that ended with `status`."""
    if status < 400:
        return "ok"
    if status == GONE:
        return "cancelled"
    if status in (408, 504):
        return "deadline"
    if status == 503:
        return "rejected"
    return "bad_input" if status < 500 else "failed"


class BodyLimit:
    """Stops reading a body at `limit_bytes`, before a parser sees more, whether or not it has a Content-Length.

    The bodies of all requests together have at most `all_bytes`: a request that is arriving has no place in a queue.
    """

    def __init__(self, app: ASGIApp, limit_bytes: int, all_bytes: int) -> None:
        self._app, self._limit_bytes, self._all_bytes, self._held_bytes = app, limit_bytes, all_bytes, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received, asked = 0, False

        async def bounded() -> Message:
            nonlocal received, asked
            asked = True
            if not received:
                announced = header(scope, b"content-length") or ""
                self._check(0, int(announced) if announced.isdigit() else 0)
            message = await receive()
            more = len(message.get("body", b""))
            self._check(received, more)
            received += more
            self._held_bytes += more
            return message

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and not asked:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        # a client that expects "100 Continue" may send its body after a refusal or not: no request can follow
        expects = header(scope, b"expect") is not None
        try:
            await self._app(scope, bounded, closing if expects else send)
        finally:
            self._held_bytes -= received

    def _check(self, received: int, more: int) -> None:
        """Raises Problem, which closes the connection: the rest of the body would be read as the next request."""
        close = {"Connection": "close"}
        if received + more > self._limit_bytes:
            detail = f"the body is larger than {self._limit_bytes:,} bytes: send a smaller or more compressed image"
            raise Problem(413, "body-too-large", detail, headers=close)
        if self._held_bytes + more > self._all_bytes:
            detail = "other requests' bodies fill the memory reserved for bodies: try again in 1 s"
            raise Problem(503, "too-many-bodies", detail, headers={"Retry-After": "1", **close})


class CancelWhenGone:
    """Cancels a request whose client disconnects before the response begins: its work leaves every queue."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        watch = _Watch(receive, send)
        if scope["method"] in ("GET", "HEAD"):  # the route reads no body to its end
            watch.begin()
        try:
            await self._app(scope, watch.receive, watch.send)
        except asyncio.CancelledError:
            if not watch.gone:
                raise
            watch.request.uncancel()
        finally:
            watch.end()


class _Watch:
    """Listens for a disconnect between the end of the request's body and the beginning of the response.

    It begins with a delay: most responses are ready before a listener pays off.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self.gone, self.request = False, cast("asyncio.Task[None]", asyncio.current_task())
        self._receive, self._send = receive, send
        self._timer: asyncio.TimerHandle | None = None
        self._listener: asyncio.Task[None] | None = None

    def begin(self) -> None:
        if self._timer is None:  # a route that reads on, as Starlette's files do, finds the body's end again
            self._timer = asyncio.get_running_loop().call_later(UNWATCHED_SECONDS, self._start)

    def _start(self) -> None:
        self._listener = asyncio.create_task(self._listen())

    def end(self) -> None:
        if self._timer:
            self._timer.cancel()
        if self._listener:
            self._listener.cancel()
            self._listener = None  # its exception holds a frame that holds this object

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            self.begin()
        return message

    async def send(self, message: Message) -> None:
        self.end()
        await self._send(message)

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        self.request.cancel()
