"""An answer that comes before the whole request has (RFC 9112, section 9.6).

To close a connection on which bytes still arrive resets it, and the client may lose the answer that told it why.
"""

import asyncio
from typing import Any, cast

from service.server.request_head import RequestHeadProtocol

LINGER_SECONDS = 5.0
"""How long a client may go on sending what has been refused."""


class LingeringProtocol(RequestHeadProtocol):
    """Closes its side only, and reads what comes without looking, until the client has closed its own."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # narrowed, as in uvicorn
        """A connection begins."""
        self.lingers, self.unread = False, 0
        super().connection_made(cast(asyncio.Transport, LingeringTransport(transport, self)))

    def data_received(self, data: bytes) -> None:
        """Bytes arrive."""
        if not self.lingers:
            super().data_received(data)

    def on_message_complete(self) -> None:
        """A request has arrived whole, be it after its answer, which uvicorn does not note."""
        super().on_message_complete()
        if self.cycle is not None:
            self.cycle.more_body = False

    def timeout_keep_alive_handler(self) -> None:
        """Nothing has come since an answer; a client that has read nothing of it since either holds memory."""
        unread = self.transport.get_write_buffer_size()
        if unread and unread == self.unread:
            self.transport.abort()
        elif unread:
            self.unread = unread
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        else:
            super().timeout_keep_alive_handler()

    @property
    def more_is_due(self) -> bool:
        """Whether the request that is answered has not arrived whole."""
        return self.head_refused or (self.cycle is not None and self.cycle.more_body)


class LingeringTransport:
    """Closes in two steps where more is due."""

    def __init__(self, transport: asyncio.Transport, protocol: LingeringProtocol) -> None:
        self._transport, self._protocol = transport, protocol
        self.write = transport.write  # found sooner than through __getattr__

    def close(self) -> None:
        """As a transport's; the second time, or when the client takes too long, at once."""
        loop, transport, protocol = asyncio.get_running_loop(), self._transport, self._protocol
        if protocol.lingers or transport.is_closing() or not protocol.more_is_due:
            transport.close()
            if transport.get_write_buffer_size():
                loop.call_later(protocol.timeout_keep_alive, transport.abort)
            return
        protocol.lingers = True
        transport.write_eof()
        transport.resume_reading()
        loop.call_later(LINGER_SECONDS, transport.abort)

    def is_closing(self) -> bool:
        """As a transport's."""
        return self._protocol.lingers or self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the transport has
        return getattr(self._transport, name)
