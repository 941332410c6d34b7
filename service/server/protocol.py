"""What uvicorn's HTTP protocol lacks, in one protocol and one transport.

- Corked writes: uvicorn writes a response's head and body one after the other, each a system call, a packet and a
  wake-up of the client. Here everything written in one turn of the event loop leaves together.
- Bounded heads: uvicorn limits neither a head's length nor its time, so a client that never ends a head takes memory
  without end, and one that never begins it keeps its connection for ever.
- Offers of another protocol: uvicorn loses the body of a request with `Upgrade: h2c`, which Java's client sends first.
  A server may ignore the offer (RFC 9110, section 7.8).
- Lingering: closing a connection on which bytes still arrive resets it, and the client may lose the response that says
  why it was refused. Such a connection is closed in two steps (RFC 9112, section 9.6).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# uvicorn's names that this module relies on; a test checks that they exist
UVICORN_METHODS = (
    *("on_message_begin", "on_headers_complete", "on_body", "on_message_complete", "timeout_keep_alive_handler"),
    *("send_400_response", "_should_upgrade", "_unset_keepalive_if_required"),
)
UVICORN_ATTRIBUTES = (
    *("cycle", "flow", "headers", "logger", "loop", "parser", "scope", "transport", "url"),
    *("timeout_keep_alive", "timeout_keep_alive_task"),
)
UVICORN_CYCLE_ATTRIBUTES = ("more_body", "response_complete")
UVICORN_FLOW_METHODS = ("pause_reading",)
UVICORN_SERVER_METHODS = ("capture_signals", "handle_exit", "serve", "shutdown")
"""Names that `service.server.runner` relies on, which runs uvicorn's server."""
UVICORN_SERVER_ATTRIBUTES = ("config", "lifespan", "server_state", "servers", "should_exit")
UVICORN_CONFIG_NAMES = ("get_loop_factory", "http_protocol_class")

MAX_HEAD_BYTES = 65_536
"""Longest head, not counting the packet in which it begins; a longer one gets 431. Also limits a body's trailers."""
MAX_CORKED_BYTES = 65_536
"""Larger writes leave at once: joining them would take longer than it saves."""
LINGER_SECONDS = 5.0
"""How long a client may go on sending a request that has been refused."""

log = logging.getLogger("service")

_DISCARD = deque[tuple[bytes, bytes]](maxlen=0)


class HttpProtocol(HttpToolsProtocol):
    """Uvicorn's protocol with bounded heads, ignored offers and two-step closing, on a `Transport`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # narrowed, as in uvicorn
        """A connection begins."""
        self._head_refused = self._in_head = self._advanced = False
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
        if self._transport.lingering:
            return
        self._advanced = False
        try:
            self._feed(data)
        except httptools.HttpParserError:
            message = "Invalid HTTP request received."
            self.logger.warning(message)
            self.send_400_response(message)
            return
        if self._in_head and self._head_timer is None:
            self._head_timer = self._start_head_timer()
        self._head_bytes = 0 if self._advanced else self._head_bytes + len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._head_too_long()

    def on_message_begin(self) -> None:
        """A request's first byte is there. Line breaks before it do not count: the connection is still idle."""
        self._in_head = self._advanced = True
        self._unset_keepalive_if_required()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A request's head is complete."""
        self._in_head, self._advanced = False, True
        self._cancel_head_timer()
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
        return self._head_refused or (self.cycle is not None and self.cycle.more_body)

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
            self._refuse(408, f"the request's head took longer than {self.timeout_keep_alive} s: send it at once")
        else:
            self.transport.close()

    def _head_too_long(self) -> None:
        if self._response_is_due() and not self.cycle.more_body:  # an incomplete request would wait for its own rest
            self.flow.pause_reading()  # until the response is complete
        elif self._in_head:
            reason = f"the request's head is longer than {MAX_HEAD_BYTES:,} bytes: send fewer or shorter headers"
            self._refuse(431, reason)
        else:
            self.transport.close()

    def _refuse(self, status: int, reason: str) -> None:
        """Sends a response that says why, and closes the connection."""
        self._head_refused = True
        self._cancel_head_timer()
        log.warning("connection closed: %s", reason)
        text = reason.encode()
        self.transport.write(
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode()
        )
        self.transport.write(text)
        self.transport.close()


class Transport:
    """Writes once per turn of the event loop, and closes in two steps while a request is incomplete."""

    def __init__(
        self, transport: asyncio.Transport, request_is_incomplete: Callable[[], bool], idle_seconds: float
    ) -> None:
        """`idle_seconds`: time that a closed connection gets to send its remaining data."""
        self._transport, self._corked = transport, list[bytes]()
        self._request_is_incomplete, self._idle_seconds = request_is_incomplete, idle_seconds
        self.lingering = False
        """The server's side is closed; data that the client still sends is read and ignored."""

    def write(self, data: bytes) -> None:
        """Writes at the end of the event loop's turn; large data at once."""
        if len(data) > MAX_CORKED_BYTES:
            self._flush()
            if not self.is_closing():
                self._transport.write(data)
            return
        if not self._corked:
            asyncio.get_running_loop().call_soon(self._flush)
        self._corked.append(data)

    def close(self) -> None:
        """Writes the corked data and closes, in two steps while a request is incomplete, else (or again) at once."""
        self._flush()
        loop, transport = asyncio.get_running_loop(), self._transport
        if self.lingering or transport.is_closing() or not self._request_is_incomplete():
            transport.close()
            if transport.get_write_buffer_size():
                loop.call_later(self._idle_seconds, transport.abort)
            return
        self.lingering = True
        transport.write_eof()
        transport.resume_reading()
        loop.call_later(LINGER_SECONDS, transport.abort)

    def is_closing(self) -> bool:
        """Returns whether the transport accepts no more data."""
        return self.lingering or self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - everything else is the transport's
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._corked and not self.is_closing():
            self._transport.write(b"".join(self._corked))
        self._corked.clear()
