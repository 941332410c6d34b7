"""What Starlette's router lacks: the methods of a path, and redirects that stay behind a path prefix."""

from urllib.parse import quote

from fastapi import FastAPI
from starlette.routing import Match, Mount
from starlette.types import Scope


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
