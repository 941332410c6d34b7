"""Errors as problem documents (RFC 9457), which say what was expected, what was received and what to do."""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from service.api.routing import allowed_methods, without_slash
from service.errors import Problem

log = logging.getLogger("service")

MEDIA_TYPE = "application/problem+json"


def problem_response(problem: Problem, request_id: str) -> JSONResponse:
    """Returns the document. Its `type` is a fixed name of the error, its `instance` the request's id."""
    body = {
        "type": f"urn:gan:problem:{problem.kind}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": f"urn:gan:request:{request_id}",
        "request_id": request_id,
        **problem.extra,
    }
    return JSONResponse(body, problem.status, headers=problem.headers, media_type=MEDIA_TYPE)


def refusal(error: Problem | RequestValidationError, request_id: str) -> JSONResponse:
    """Returns the response to a request that a route refuses."""
    return problem_response(problem_of(error), request_id)


def problem_of(error: Problem | RequestValidationError) -> Problem:
    """Returns the problem that an error of a route is."""
    if isinstance(error, RequestValidationError):
        return Problem(422, "invalid-parameter", "; ".join(map(_explain, error.errors())))
    return error


def install(app: FastAPI) -> None:
    """Makes the application turn every error of its routes into a problem document.

    What its router refuses may be the method OPTIONS, or a path with a slash too many: these get their response.
    """

    @app.exception_handler(Problem)
    @app.exception_handler(RequestValidationError)
    async def on_problem(request: Request, error: Problem | RequestValidationError) -> JSONResponse:
        return refusal(error, request.state.request_id)

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        path, query = request.scope["path"], str(request.scope["query_string"], "latin-1")
        place = without_slash(app, path, query) if error.status_code == 404 else None
        if place is not None:
            return RedirectResponse(place)
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = allowed_methods(app, path)
            if request.method == "OPTIONS":
                return Response(status_code=204, headers=headers)
        kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        detail = f"{request.method} {request.url.path}: {error.detail}; GET /openapi.json lists the routes"
        return problem_response(Problem(error.status_code, kind, detail, headers=headers), request.state.request_id)


def cut_off(request_id: str) -> JSONResponse:
    """Returns the response to a request that is still running when the drain ends."""
    detail = "the service is stopping and could not finish this request in time: send it again"
    headers = {"Retry-After": "1", "Connection": "close"}
    return problem_response(Problem(503, "draining", detail, headers=headers), request_id)


def unexpected(request_id: str) -> JSONResponse:
    """Logs a bug and returns the response to it, which has only the request's id."""
    log.exception("request %s failed", request_id)
    problem = Problem(500, "internal-error", "an unexpected error: the server's log has it under this request id")
    return problem_response(problem, request_id)


def _explain(error: dict[str, Any]) -> str:
    name = ".".join(str(part)[:40] for part in error["loc"][1:])
    return f"{name}: {error['msg']} (got {str(error['input'])[:80]!r})"
