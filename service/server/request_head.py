"""A request's head: how long it may be and take, and that it upgrades nothing.

Uvicorn bounds neither, so that a client that never ends a head takes memory without end, and one that never begins it
keeps its connection for ever. Uvicorn's parser also takes a request that offers another protocol to have no body, and
Java's client offers HTTP/2 (`Upgrade: h2c`) with every first one; a server may ignore that (RFC 9110, section 7.8).
"""

import asyncio
import logging
from collections import deque
from http import HTTPStatus

import httptools

from service.server.corked import CorkedProtocol

HEAD_BYTES = 65_536
"""Length of a head, beyond the packet in which it begins, at which it is refused (431); of a chunked body's trailers,
too."""

log = logging.getLogger("service")

_NONE = deque[tuple[bytes, bytes]](maxlen=0)
"""Keeps nothing of what is put in."""


class RequestHeadProtocol(CorkedProtocol):
    """Refuses a head that is too long, and closes a connection that takes longer over one than it may idle."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # narrowed, as in uvicorn
        """A connection begins."""
        self.head_refused = False
        self._in_head, self._advanced, self._bytes = False, False, 0
        super().connection_made(transport)
        self._due: asyncio.TimerHandle | None = self._soon_due()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        self._cancel_due()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes arrive."""
        self._advanced = False
        try:
            self._feed(data)
        except httptools.HttpParserError:
            message = "Invalid HTTP request received."
            self.logger.warning(message)
            self.send_400_response(message)
            return
        if self._in_head and self._due is None:
            self._due = self._soon_due()
        self._bytes = 0 if self._advanced else self._bytes + len(data)
        if self._bytes > HEAD_BYTES:
            self._too_long()

    def on_message_begin(self) -> None:
        """A request's first byte is there: until then the connection idles, whatever comes."""
        self._in_head = self._advanced = True
        self._unset_keepalive_if_required()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is there."""
        self._in_head, self._advanced = False, True
        self._cancel_due()
        self._unset_keepalive_if_required()  # set by the answer before it, if that was given since it began
        super().on_headers_complete()
        self.headers = _NONE  # type: ignore[assignment]  # a list to uvicorn, which adds trailers to it without end

    def on_body(self, body: bytes) -> None:
        """Some of its body is there."""
        self._advanced = True
        super().on_body(body)

    def _feed(self, data: bytes | memoryview) -> None:
        """Has the parser read; a request with an offer is read once more, without it, and then what follows."""
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as offer:
                if self.scope["method"] == "CONNECT":
                    raise httptools.HttpParserError("a tunnel") from offer
                data = memoryview(data)[offer.args[0] :]
                self._read_again()

    def _should_upgrade(self) -> bool:
        """Whether uvicorn is to leave alone a request with an offer: it comes again."""
        return True

    def _read_again(self) -> None:
        start = f"{self.scope['method']} ".encode(), self.url, f" HTTP/{self.scope['http_version']}\r\n".encode()
        headers = (b"%b: %b\r\n" % header for header in self.scope["headers"] if header[0] != b"upgrade")
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        self.parser.feed_data(b"".join((*start, *headers, b"\r\n")))

    @property
    def _answers(self) -> bool:
        """Whether an answer is on its way."""
        return self.cycle is not None and not self.cycle.response_complete

    def _soon_due(self) -> asyncio.TimerHandle:
        return self.loop.call_later(self.timeout_keep_alive, self._overdue)

    def _cancel_due(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _overdue(self) -> None:
        """No head has arrived whole."""
        self._due = None
        if self._answers:  # the next one was sent ahead, in part
            self._due = self._soon_due()
        elif self._in_head:
            self._refuse(408, f"the request's head took longer than {self.timeout_keep_alive} s: send it at once")
        else:
            self.transport.close()

    def _too_long(self) -> None:
        if self._answers and not self.cycle.more_body:  # which would wait for what is not read
            self.flow.pause_reading()  # until it is given
        elif self._in_head:
            self._refuse(431, f"the request's head is longer than {HEAD_BYTES:,} bytes: send fewer or shorter headers")
        else:
            self.transport.close()

    def _refuse(self, status: int, reason: str) -> None:
        """Says why, and closes."""
        self.head_refused = True
        self._cancel_due()
        log.warning("connection closed: %s", reason)
        text = reason.encode()
        self.transport.write(
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode()
        )
        self.transport.write(text)
        self.transport.close()
