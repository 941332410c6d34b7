"""What uvicorn's HTTP protocol lacks, with `service.server.transport` below it.

- Corked writes: uvicorn writes a response's head and body one after the other, each a system call, a packet and a
  wake-up of the client. Here everything written in one turn of the event loop leaves together.
- Bounded heads: uvicorn limits neither a head's length nor its time, so a client that never ends a head takes memory
  without end, and one that never begins it keeps its connection for ever.
- Offers of another protocol: uvicorn loses the body of a request with `Upgrade: h2c`, which Java's client sends first.
  A server may ignore the offer (RFC 9110, section 7.8).
- Refusals: what cannot be parsed gets a problem document with the reason, in its turn behind earlier requests. So do a
  request without Host (RFC 9112, section 3.2) and one with a transfer coding other than chunked (section 6.1).
- Half-closed connections: a client that has sent its request and ended its side gets its response. One that has closed
  altogether looks the same until something is written: an interim response finds out, so that its work is cancelled.
- Lingering: closing a connection on which bytes still arrive resets it, and the client may lose the response that says
  why it was refused. Such a connection is closed in two steps (RFC 9112, section 9.6).
"""

import asyncio
import logging
import random
import socket
from collections import deque
from http import HTTPStatus
from typing import cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.api.middleware.request_context import ABORT
from service.api.problems import problem_response
from service.api.security import HEADERS
from service.errors import Problem
from service.server.transport import Transport

# uvicorn's names that this module relies on; a test checks that they exist
UVICORN_METHODS = (
    *("on_message_begin", "on_headers_complete", "on_body", "on_message_complete", "timeout_keep_alive_handler"),
    "on_response_complete",
    *("_should_upgrade", "_unset_keepalive_if_required"),
)
UVICORN_ATTRIBUTES = (
    *("cycle", "flow", "headers", "loop", "parser", "pipeline", "scope", "transport", "url"),
    *("timeout_keep_alive", "timeout_keep_alive_task"),
)
UVICORN_CYCLE_ATTRIBUTES = ("keep_alive", "more_body", "response_complete", "response_started")
UVICORN_FLOW_METHODS = ("pause_reading",)
UVICORN_SERVER_METHODS = ("capture_signals", "handle_exit", "serve", "shutdown")
"""Names that `service.server.runner` relies on, which runs uvicorn's server."""
UVICORN_SERVER_ATTRIBUTES = ("config", "lifespan", "server_state", "servers", "should_exit")
UVICORN_CONFIG_NAMES = ("get_loop_factory", "http_protocol_class")

MAX_HEAD_BYTES = 65_536
"""Longest head, not counting the packet in which it begins; a longer one gets 431. Also limits a body's trailers."""
PROBE_SECONDS = 0.25
"""How often a connection is checked on which the client has ended its side."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

log = logging.getLogger("service")

_DISCARD = deque[tuple[bytes, bytes]](maxlen=0)


class HttpProtocol(HttpToolsProtocol):
    """Uvicorn's protocol with bounded heads, ignored offers and two-step closing, on a `Transport`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # narrowed, as in uvicorn
        """A connection begins."""
        self._in_head = self._advanced = False
        self._refusal: Problem | None = None
        self._head_bytes, self._unread_bytes = 0, 0
        self._transport = Transport(transport, self._request_is_incomplete, self.timeout_keep_alive)
        super().connection_made(cast(asyncio.Transport, self._transport))
        self._head_timer: asyncio.TimerHandle | None = self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._cancel_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived."""
        if self._transport.lingering or self._refusal is not None:
            return
        self._advanced = False
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            problem = error.__context__  # raised by a method that the parser called
            self._refuse(problem if isinstance(problem, Problem) else _unparsable(error))
            return
        if self._in_head and self._head_timer is None:
            self._head_timer = self._start_head_timer()
        self._head_bytes = 0 if self._advanced else self._head_bytes + len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._head_too_long()

    def eof_received(self) -> bool:  # type: ignore[override]  # True keeps the connection
        """The client has ended its side. The connection stays while a complete request waits for its response."""
        if self._transport.lingering or not self._response_is_due() or self.cycle.more_body:
            self.transport.close()  # writes what is corked
            return False
        self.cycle.keep_alive = False
        if not self.pipeline and not self.cycle.response_started and self.scope["http_version"] == "1.1":
            self.transport.write(CONTINUE)  # a client that has closed altogether resets the connection
        self.loop.call_later(PROBE_SECONDS, self._abort_when_gone)
        return True

    def on_message_begin(self) -> None:
        """A request's first byte is there. Line breaks before it do not count: the connection is still idle."""
        self._in_head = self._advanced = True
        self._unset_keepalive_if_required()
        super().on_message_begin()
        self.scope["state"][ABORT] = self.transport.abort

    def on_headers_complete(self) -> None:
        """A request's head is complete."""
        self._in_head, self._advanced = False, True
        self._cancel_head_timer()
        self._check_head()
        self._unset_keepalive_if_required()  # set by the previous response if that ended after this head began
        super().on_headers_complete()
        self.headers = _DISCARD  # type: ignore[assignment]  # uvicorn would add trailers to its list without end

    def on_body(self, body: bytes) -> None:
        """A part of a request's body is there."""
        self._advanced = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is complete. Uvicorn ignores this after the response."""
        super().on_message_complete()
        if self.cycle is not None:
            self.cycle.more_body = False

    def on_response_complete(self) -> None:
        """A response is complete. A refusal that waits behind it follows."""
        super().on_response_complete()
        if self._refusal is not None and not self._transport.is_closing():
            self._refuse(self._refusal)

    def timeout_keep_alive_handler(self) -> None:
        """The connection has been idle since its last response. Aborts it if the client has stopped reading that."""
        unread = self.transport.get_write_buffer_size()
        if unread and unread == self._unread_bytes:
            self.transport.abort()
        elif unread:
            self._unread_bytes = unread
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        else:
            super().timeout_keep_alive_handler()

    def _request_is_incomplete(self) -> bool:
        return self._refusal is not None or (self.cycle is not None and self.cycle.more_body)

    def _response_is_due(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _feed(self, data: bytes | memoryview) -> None:
        """Parses bytes. A request with an offer is parsed again without it, then the bytes after its head."""
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as offer:
                if self.scope["method"] == "CONNECT":
                    raise httptools.HttpParserError("a tunnel") from offer
                data = memoryview(data)[offer.args[0] :]
                self._parse_without_offer()

    def _should_upgrade(self) -> bool:
        """Makes uvicorn ignore a request with an offer: it is parsed again."""
        return True

    def _parse_without_offer(self) -> None:
        start = f"{self.scope['method']} ".encode(), self.url, f" HTTP/{self.scope['http_version']}\r\n".encode()
        headers = (b"%b: %b\r\n" % header for header in self.scope["headers"] if header[0] != b"upgrade")
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn sets it
        self.parser.feed_data(b"".join((*start, *headers, b"\r\n")))

    def _start_head_timer(self) -> asyncio.TimerHandle:
        return self.loop.call_later(self.timeout_keep_alive, self._head_overdue)

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_overdue(self) -> None:
        self._head_timer = None
        if self._response_is_due():  # the client has sent the next head early, in part
            self._head_timer = self._start_head_timer()
        elif self._in_head:
            reason = f"the request's head took longer than {self.timeout_keep_alive} s: send it at once"
            self._refuse(Problem(408, "head-too-slow", reason))
        else:
            self.transport.close()

    def _head_too_long(self) -> None:
        due = self._response_is_due()
        if due and not self.cycle.more_body:  # an incomplete request would wait for its own rest
            self.flow.pause_reading()  # until the response is complete
        elif self._in_head:
            reason = f"the request's head is longer than {MAX_HEAD_BYTES:,} bytes: send fewer or shorter headers"
            self._refuse(Problem(431, "head-too-long", reason))
        elif due and not self.cycle.response_started:
            reason = f"a chunk's extensions or the trailers are longer than {MAX_HEAD_BYTES:,} bytes: leave them out"
            self._refuse(Problem(431, "trailers-too-long", reason))
        else:
            self.transport.close()

    def _check_head(self) -> None:
        """Raises Problem for a head that HTTP does not allow, or that asks for what the service does not have."""
        hosts = sum(name == b"host" for name, _ in self.headers)
        if self.parser.get_http_version() == "1.1" and hosts != 1:
            raise Problem(400, "bad-host", f"the request has {hosts} Host headers: HTTP/1.1 needs one")
        codings = b", ".join(value for name, value in self.headers if name == b"transfer-encoding")
        if codings and codings.strip().lower() != b"chunked":
            reason = f"Transfer-Encoding {codings.decode('latin-1')[:40]!r}: send the body as it is, or chunked"
            raise Problem(501, "unknown-transfer-coding", reason)

    def _refuse(self, problem: Problem) -> None:
        """Sends a response that says why, and closes the connection. Earlier requests get their responses first."""
        self._refusal = problem
        self._cancel_head_timer()
        if self.pipeline or (self._response_is_due() and not self.cycle.more_body):
            self.flow.pause_reading()
            return
        if self._response_is_due() and self.cycle.response_started:  # too late for another response
            self.transport.close()
            return
        log.warning("connection closed: %s", problem.detail)
        request_id = f"{random.getrandbits(128):032x}"
        response = problem_response(problem, request_id)
        phrase = HTTPStatus(problem.status).phrase
        start = f"HTTP/1.1 {problem.status} {phrase}\r\nConnection: close\r\n".encode()
        response.headers.update({**dict(HEADERS), "X-Request-Id": request_id})
        headers = (b"%b: %b\r\n" % header for header in response.raw_headers)
        self.transport.write(b"".join((start, *headers, b"\r\n", response.body)))
        self.transport.close()

    def _abort_when_gone(self) -> None:
        """Aborts a half-closed connection that the client has reset; the loop does not read it any more."""
        if not self._response_is_due() or self._transport.is_closing():
            return
        if self.transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.transport.abort()
        else:
            self.loop.call_later(PROBE_SECONDS, self._abort_when_gone)


def _unparsable(error: httptools.HttpParserError) -> Problem:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    if isinstance(error, httptools.HttpParserCallbackError):
        reason = "its target cannot be parsed, or is longer than 65,535 bytes"
    return Problem(400, "bad-request", f"the request is not valid HTTP/1.1: {reason}")
