"""The HTTP protocol with its answers corked: what is written within one turn of the event loop leaves at its end.

Uvicorn writes an answer's head and body one after the other, each a system call, a packet and a wake-up of its client;
together with those of a batch these are a third of the time that a digit takes on the event loop.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

SMALL_BYTES = 65_536
"""What is held back; larger parts leave at once, since to join them would take longer than it saves."""


class CorkedProtocol(HttpToolsProtocol):
    """Uvicorn's, over a corked transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # narrowed, as in uvicorn
        """A connection begins."""
        super().connection_made(cast(asyncio.Transport, CorkedTransport(transport)))


class CorkedTransport:
    """Holds back what is written until the event loop has run what was ready, and writes it at once."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._held = transport, list[bytes]()

    def write(self, data: bytes) -> None:
        """As a transport's."""
        if len(data) > SMALL_BYTES:
            self._flush()
            if not self._transport.is_closing():
                self._transport.write(data)
            return
        if not self._held:
            asyncio.get_running_loop().call_soon(self._flush)
        self._held.append(data)

    def close(self) -> None:
        """Once all is written."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the transport has
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._held and not self._transport.is_closing():
            self._transport.write(b"".join(self._held))
        self._held.clear()
