"""Errors as problem documents (RFC 9457), which say what was expected, what was received and what to do."""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

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
    if isinstance(error, RequestValidationError):
        error = Problem(422, "invalid-parameter", "; ".join(map(_explain, error.errors())))
    return problem_response(error, request_id)


def install(app: FastAPI) -> None:
    """Makes the application turn every error of its routes into a problem document."""

    @app.exception_handler(Problem)
    @app.exception_handler(RequestValidationError)
    async def on_problem(request: Request, error: Problem | RequestValidationError) -> JSONResponse:
        return refusal(error, request.state.request_id)

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> JSONResponse:
        kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        detail = f"{request.method} {request.url.path}: {error.detail}; GET /openapi.json lists the routes"
        headers = dict(error.headers) if error.headers else None
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
