"""Limits the bytes of one body, and of the bodies of all requests together."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.params import header
from service.errors import Problem


class BodyLimit:
    """Stops reading a body at `limit_bytes`, before a parser sees more, whether or not it has a Content-Length.

    The bodies of all requests together have at most `all_bytes`: a request that is arriving has no place in a queue.
    """

    def __init__(self, app: ASGIApp, limit_bytes: int, all_bytes: int) -> None:
        self._app, self._limit_bytes, self._all_bytes, self._held_bytes = app, limit_bytes, all_bytes, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        received, asked = 0, False

        async def bounded() -> Message:
            nonlocal received, asked
            asked = True
            if not received:
                announced = header(scope, b"content-length") or ""
                self._check(0, int(announced) if announced.isdigit() else 0)
            message = await receive()
            more = len(message.get("body", b""))
            self._check(received, more)
            received += more
            self._held_bytes += more
            return message

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and not asked:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        # a client that expects "100 Continue" may send its body after a refusal or not: no request can follow
        expects = header(scope, b"expect") is not None
        try:
            await self._app(scope, bounded, closing if expects else send)
        finally:
            self._held_bytes -= received

    def _check(self, received: int, more: int) -> None:
        """Raises Problem, which closes the connection: the rest of the body would be read as the next request."""
        close = {"Connection": "close"}
        if received + more > self._limit_bytes:
            detail = f"the body is larger than {self._limit_bytes:,} bytes: send a smaller or more compressed image"
            raise Problem(413, "body-too-large", detail, headers=close)
        if self._held_bytes + more > self._all_bytes:
            detail = "other requests' bodies fill the memory reserved for bodies: try again in 1 s"
            raise Problem(503, "too-many-bodies", detail, headers={"Retry-After": "1", **close})
