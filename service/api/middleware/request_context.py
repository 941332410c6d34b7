"""Gives every request an id, counts, times and logs it."""

import asyncio
import random
import re
import time
from collections.abc import Container, Iterable

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.context import EXTRA_HEADERS, Lifecycle
from service.api.problems import cut_off, unexpected
from service.telemetry.logs import RequestIds, log_access, request_ids
from service.telemetry.metrics import Metrics, Outcome
from service.telemetry.tracing import span_ids, trace_id_of

GONE = 499
"""Status under which a request is counted whose client disconnected before the response."""
ABORT = "abort"
"""Key of a request's state under which the server leaves a function that ends the connection at once."""
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
        start, status, complete, sent_bytes = time.perf_counter(), 0, False, 0
        ids = _ids(scope["headers"])
        scope.setdefault("state", {})["request_id"] = ids.request_id
        token = request_ids.set(ids)
        measured = scope["path"] not in self._unmeasured
        generation = self._lifecycle.in_flight.begin()
        if measured:
            self._metrics.request_begins()

        async def send_with_id(message: Message) -> None:
            nonlocal status, complete, sent_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
                extra = scope["state"].get(EXTRA_HEADERS, ())
                headers = [*message["headers"], *extra, (b"x-request-id", ids.request_id.encode())]
                if self._lifecycle.draining:
                    headers = [(name, value) for name, value in headers if name != b"connection"]
                    headers.append((b"connection", b"close"))
                message["headers"] = headers
            else:
                sent_bytes += len(message.get("body", b""))
                complete = not message.get("more_body", False)
            await send(message)

        outcome: Outcome | None = None
        try:
            try:  # noqa: SIM105 (contextlib.suppress takes a microsecond)
                await self._app(scope, receive, send_with_id)
            except ClientDisconnect:
                pass
            if status and not complete:
                outcome = "cancelled"
                await _leave(scope, receive)
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
            self._lifecycle.in_flight.end(generation)
            if measured:
                status = status or GONE
                outcome = outcome or outcome_of(status)
                route = getattr(scope.get("route"), "path", OTHER)
                seconds = time.perf_counter() - start
                self._metrics.request_ends(route, status, outcome, seconds)
                key = scope["state"].get("key")
                if key is not None:
                    self._metrics.request_of_key(key, outcome)
                log_access(_METHODS.get(scope["method"], "OTHER"), route, status, outcome, seconds, sent_bytes, key)
            request_ids.reset(token)


async def _leave(scope: Scope, receive: Receive) -> None:
    """Ends the connection of a client that has not taken its response; uvicorn would log that as an error."""
    abort = scope["state"].get(ABORT)
    if abort is not None:
        abort()
        while (await receive())["type"] != "http.disconnect":
            pass


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
    if status in (429, 503):
        return "rejected"
    return "bad_input" if status < 500 else "failed"
