"""Compression of large texts for clients that ask for it (RFC 9110, section 12.5.3)."""

from starlette.middleware.gzip import GZipMiddleware
from starlette.types import Receive, Scope, Send

from service.api.negotiation import accepts_gzip


class Compression(GZipMiddleware):
    """Starlette's middleware, except for clients that name gzip to refuse it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        if scope["type"] == "http" and not accepts_gzip(scope):
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
