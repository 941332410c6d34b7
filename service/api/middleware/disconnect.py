"""Cancels a request whose client disconnects before the response begins."""

import asyncio
from typing import cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

UNWATCHED_SECONDS = 0.1
"""Time after a request's last byte during which a disconnect goes unnoticed."""


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
