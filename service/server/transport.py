"""Corked writes and two-step closing, on asyncio's transport."""

import asyncio
from collections.abc import Callable
from typing import Any

MAX_CORKED_BYTES = 65_536
"""Larger writes leave at once: joining them would take longer than it saves."""
LINGER_SECONDS = 5.0
"""How long a client may go on sending a request that has been refused."""


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
