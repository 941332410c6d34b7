"""Lets only clients with a key pass, where keys are used, and tells clients apart for the rate limit."""

from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from service.access.keys import KeyStore
from service.access.limits import client_at
from service.api.problems import problem_response
from service.errors import Problem

OPEN = ("/healthz/", "/v2/health/")
"""Probes have no keys. Paths that end with a slash stand for all paths below them."""
DOCS = ("/", "/page/", "/docs", "/docs/", "/openapi.json")
METRICS = ("/metrics",)


class Access:
    """Finds the client of a request, in scope["state"]: `key` is the name of its key, `client` what limits count."""

    def __init__(self, app: ASGIApp, keys: KeyStore | None, open_paths: Iterable[str], limited: bool) -> None:
        """`keys`: the valid ones; None lets every request pass. `open_paths`: those that need no key.

        `limited`: there is a rate limit, so that clients are told apart.
        """
        self._app, self._keys, self._limited = app, keys, limited
        paths = (*OPEN, *open_paths)
        self._open = frozenset(paths)
        self._below = tuple(path for path in paths if path.endswith("/") and path != "/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state, name = scope["state"], None
        if self._keys is not None:
            sent = _keys_of(scope)
            name = next(filter(None, map(self._keys.name_of, sent)), None)
            if name is not None:
                state["key"] = name
            elif not self._is_open(scope["path"]):
                await problem_response(_refused(bool(sent)), state["request_id"])(scope, receive, send)
                return
        if self._limited:
            address = scope["client"][0] if scope.get("client") else ""
            state["client"] = f"key {name}" if name is not None else f"address {client_at(address)}"
        await self._app(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        return path in self._open or path.startswith(self._below)


def _keys_of(scope: Scope) -> list[str]:
    """Returns the keys of `Authorization: Bearer` and `X-API-Key`: either header may be a proxy's."""
    found = []
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            found.append(value.decode("latin-1"))
        elif name == b"authorization":
            scheme, _, key = value.decode("latin-1").partition(" ")
            if scheme.lower() == "bearer" and key.strip():
                found.append(key.strip())
    return found


def _refused(with_key: bool) -> Problem:
    challenge = 'Bearer realm="gan-serving"'
    if not with_key:
        detail = "this service needs a key: send it as Authorization: Bearer KEY, or as X-API-Key: KEY"
        return Problem(401, "key-missing", detail, headers={"WWW-Authenticate": challenge})
    detail = "the key is not valid, or no longer: ask the operator for a new one"
    return Problem(401, "key-unknown", detail, headers={"WWW-Authenticate": f'{challenge}, error="invalid_token"'})
