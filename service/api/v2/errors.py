"""Errors as the protocol has them: {"error": "..."} in place of a problem document."""

import functools
from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from service.api.problems import problem_of
from service.errors import Problem

R = TypeVar("R")


def protocol_errors(route: Callable[..., Awaitable[R]]) -> Callable[..., Awaitable[R | JSONResponse]]:
    """Makes a route, whose first parameter is the request, return its problems as the protocol's errors.

    Status and headers are the problem's, and so is the name in `type`.
    """

    @functools.wraps(route)
    async def answering(request: Request, **parameters: str) -> R | JSONResponse:
        try:
            return await route(request, **parameters)
        except (Problem, RequestValidationError) as error:
            problem = problem_of(error)
            body = {"error": problem.detail, "type": f"urn:gan:problem:{problem.kind}"}
            return JSONResponse(body, problem.status, headers=problem.headers)

    return answering
