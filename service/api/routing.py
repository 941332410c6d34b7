"""What Starlette's router lacks: HEAD and OPTIONS of every route, and redirects that stay behind a path prefix."""

from urllib.parse import quote

from fastapi import FastAPI
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """Answers HEAD as GET without the body, as RFC 9110 (9.3.2) wants it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def headers_only(message: Message) -> None:
            await send({**message, "body": b""} if "body" in message else message)

        inner = {**scope, "method": "GET"}
        try:
            await self._app(inner, receive, headers_only)
        finally:
            if "route" in inner:  # for metrics and the log
                scope["route"] = inner["route"]


class RootPath:
    """Takes `prefix` off the path of requests, for a proxy that leaves it there. Probes come without it."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        if scope["type"] == "http" and scope["path"].startswith(f"{self._prefix}/"):
            scope["path"] = scope["path"].removeprefix(self._prefix)
        await self._app(scope, receive, send)


def allowed_methods(app: FastAPI, path: str) -> str:
    """Returns the Allow header of a path."""
    methods = {method for method in ("DELETE", "GET", "PATCH", "POST", "PUT") if _has_route(app, path, method)}
    return ", ".join(sorted(methods | ({"HEAD", "OPTIONS"} if "GET" in methods else {"OPTIONS"})))


def without_slash(app: FastAPI, path: str, query: str) -> str | None:
    """Returns where a path with a slash too many leads to, if a route is there.

    The reference is relative to the request's URL, so that it is right behind any path prefix of a proxy.
    """
    shorter = path.removesuffix("/")
    if not shorter or shorter == path or not _has_route(app, shorter):
        return None
    return f"../{quote(shorter.rpartition('/')[2], safe='')}" + (f"?{query}" if query else "")


def _has_route(app: FastAPI, path: str, method: str | None = None) -> bool:
    """Returns whether a route has the path, and the method. Mounts have files, which are read only."""
    scope: Scope = {"type": "http", "path": path, "root_path": "", "method": method, "headers": []}
    wanted = Match.FULL if method else Match.PARTIAL
    return any(
        route.matches(scope)[0].value >= wanted.value and (method in (None, "GET") or not isinstance(route, Mount))
        for route in app.router.routes
    )
