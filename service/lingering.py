"""An answer that comes before the request's body has (RFC 9112, section 9.6).

To close a connection on which bytes still arrive resets it, and the client may lose the answer that told it why.
"""

import asyncio
from typing import Any, cast

from service.corked import CorkedProtocol

LINGER_SECONDS = 5.0
"""How long a client may go on sending a body that has been refused."""


class LingeringProtocol(CorkedProtocol):
    """Closes its side only, and reads what comes without looking, until the client has closed its own."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection begins."""
        self.lingers = False
        super().connection_made(cast(asyncio.Transport, LingeringTransport(transport, self)))

    def data_received(self, data: bytes) -> None:
        """Bytes arrive."""
        if not self.lingers:
            super().data_received(data)

    @property
    def body_is_due(self) -> bool:
        """Whether the request that is answered has not arrived whole."""
        return self.cycle is not None and self.cycle.more_body


class LingeringTransport:
    """Closes in two steps where a body is due."""

    def __init__(self, transport: asyncio.Transport, protocol: LingeringProtocol) -> None:
        self._transport, self._protocol = transport, protocol

    def close(self) -> None:
        """As a transport's; the second time, or when the client takes too long, at once."""
        if self._protocol.lingers or self._transport.is_closing() or not self._protocol.body_is_due:
            self._transport.close()
            return
        self._protocol.lingers = True
        self._transport.write_eof()
        self._transport.resume_reading()
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.close)

    def is_closing(self) -> bool:
        """As a transport's."""
        return self._protocol.lingers or self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the transport has
        return getattr(self._transport, name)
