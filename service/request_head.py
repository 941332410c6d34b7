"""A request's head: how long it may be and take, and that it upgrades nothing.

Uvicorn bounds neither, so that a client that never ends a head takes memory without end, and one that never begins it
keeps its connection for ever. Uvicorn's parser also takes a request that offers another protocol to have no body, and
Java's client offers HTTP/2 (`Upgrade: h2c`) with every first one; a server may ignore that (RFC 9110, section 7.8).
"""

import asyncio
import logging
from http import HTTPStatus

import httptools

from service.corked import CorkedProtocol

HEAD_BYTES = 65_536
"""Length of a head, beyond what its first packet brings, at which it is refused (431)."""

log = logging.getLogger("service")


class RequestHeadProtocol(CorkedProtocol):
    """Refuses a head that is too long, and closes a connection that takes longer over one than it may idle."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # narrowed, as in uvicorn
        """A connection begins."""
        self.head_refused = False
        self._in_head, self._head_bytes = False, 0
        super().connection_made(transport)
        self._due: asyncio.TimerHandle | None = self._soon_due()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        self._cancel_due()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes arrive."""
        had_begun = self._in_head
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline(data[offer.args[0] :])
            return
        except httptools.HttpParserError:
            message = "Invalid HTTP request received."
            self.logger.warning(message)
            self.send_400_response(message)
            return
        if not self._in_head:
            return
        self._head_bytes += len(data) if had_begun else 0  # a packet in which it begins may end another's body
        if self._head_bytes > HEAD_BYTES:
            self._refuse(431, f"the request's head is longer than {HEAD_BYTES:,} bytes: send fewer or shorter headers")
        elif self._due is None:
            self._due = self._soon_due()

    def on_message_begin(self) -> None:
        """A request's first byte is there."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is there."""
        self._in_head = False
        self._cancel_due()
        super().on_headers_complete()

    def _should_upgrade(self) -> bool:
        """Whether uvicorn is to leave the request alone: one with an offer comes again without it."""
        return bool(self.parser.get_method() != b"CONNECT")

    def _decline(self, rest: bytes) -> None:
        """Reads the request once more, without its offer, and goes on with the `rest` of what has come."""
        start = f"{self.scope['method']} ".encode(), self.url, f" HTTP/{self.scope['http_version']}\r\n".encode()
        headers = (b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade")
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        self.data_received(b"".join((*start, *headers, b"\r\n", rest)))

    def _soon_due(self) -> asyncio.TimerHandle:
        return self.loop.call_later(self.timeout_keep_alive, self._overdue)

    def _cancel_due(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _overdue(self) -> None:
        """No head has arrived whole."""
        self._due = None
        if self.cycle is not None and not self.cycle.response_complete:  # the next one was sent ahead, in part
            self._due = self._soon_due()
        elif self._in_head:
            self._refuse(408, f"the request's head took longer than {self.timeout_keep_alive} s: send it at once")
        else:
            self.transport.close()

    def _refuse(self, status: int, reason: str) -> None:
        """Says why, where no other answer is on its way, and closes."""
        self.head_refused = True
        log.warning("connection closed: %s", reason)
        if self.cycle is None or self.cycle.response_complete:
            text = reason.encode()
            self.transport.write(
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
                f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode()
            )
            self.transport.write(text)
        self.transport.close()
