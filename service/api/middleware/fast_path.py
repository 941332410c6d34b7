"""Calls the busiest routes in front of FastAPI's router, which takes longer than generating a digit.

FastAPI documents these routes, and handles every other request for their paths.
"""

from collections.abc import Iterable

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.problems import refusal
from service.errors import Problem
from service.telemetry import tracing


class FastPath:
    """Calls the functions of `routes`. All other requests go to `app`.

    A function takes the request and the path's parameters as strings. It returns a Response, or raises a Problem or
    RequestValidationError.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[APIRoute]) -> None:
        self._app = app
        self._routes = [(route.methods or (), route.path_regex, route) for route in routes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        if scope["type"] == "http":
            for methods, pattern, route in self._routes:
                if scope["method"] in methods and (match := pattern.match(scope["path"])):
                    scope["route"] = route
                    tracing.name_request(scope["method"], route.path)
                    request = Request(scope, receive)
                    try:
                        response = await route.endpoint(request, **match.groupdict())
                    except (Problem, RequestValidationError) as error:
                        response = refusal(error, request.state.request_id)
                    await response(scope, receive, send)
                    return
        await self._app(scope, receive, send)
