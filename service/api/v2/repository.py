"""The protocol's model repository extension, on the management port: lists, loads and unloads versions.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md
"""

import json
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from service.api.context import context_of
from service.api.v2.errors import protocol_errors
from service.card import CardError
from service.errors import Problem
from service.live.reloader import LastModelError, UnknownNameError

router = APIRouter(prefix="/v2/repository")

IGNORED = "unload_dependents"
"""A parameter that Triton's clients send; no model depends on another."""


class IndexEntry(BaseModel):
    """A version."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str
    """Why the version is not served; empty if it is."""


@router.post("/index")
@protocol_errors
async def index(request: Request) -> list[IndexEntry]:
    """Lists the loaded versions, the unloaded and the refused ones; with {"ready": true} the loaded ones alone."""
    body, context = await _body(request, {"ready"}), context_of(request)
    if not isinstance(ready := body.get("ready", False), bool):
        raise Problem(400, "invalid-json", 'expected true or false as "ready"')
    loaded = [model.id for model in context.registry.models]
    others = {one.id: one.reason for one in (*context.reloader.withheld, *context.reloader.refused)}
    entries = [_entry(model_id, "READY", "") for model_id in loaded]
    if not ready:
        entries += [_entry(key, "UNAVAILABLE", reason) for key, reason in sorted(others.items()) if key not in loaded]
    return entries


@router.post("/models/{name}/load")
@protocol_errors
async def load(request: Request, name: str) -> dict[str, Any]:
    """Loads what is new of a model, tries again what was refused, and returns when it serves.

    400 when a version of it is refused, 404 when the models folder has none.
    """
    _check_parameters(await _body(request, {"parameters"}))
    try:
        await context_of(request).reloader.load(name)
    except UnknownNameError:
        raise Problem(404, "unknown-model", f"the models folder has no model {name[:80]!r}") from None
    except CardError as error:
        raise Problem(400, "model-refused", str(error)) from error
    return {}


@router.post("/models/{name}/unload")
@protocol_errors
async def unload(request: Request, name: str) -> dict[str, Any]:
    """Gives a model no more requests until it is loaded again, or until the service starts again.

    Requests in flight end as they began. 404 when the model is not loaded, 409 when it is the last one.
    """
    _check_parameters(await _body(request, {"parameters"}))
    try:
        await context_of(request).reloader.unload(name)
    except UnknownNameError:
        raise Problem(404, "unknown-model", f"no model {name[:80]!r} is loaded") from None
    except LastModelError:
        detail = f"{name} is the last model: load another one first, or stop the service"
        raise Problem(409, "last-model", detail) from None
    return {}


def _entry(version_id: str, state: Literal["READY", "UNAVAILABLE"], reason: str) -> IndexEntry:
    name, _, version = version_id.partition("/")
    return IndexEntry(name=name, version=version, state=state, reason=reason)


async def _body(request: Request, members: set[str]) -> dict[str, Any]:
    """Returns the JSON object in the body, {} for none. Raises Problem 400 for another body, 403 for a browser."""
    if "origin" in request.headers:  # any page could send such a request to a port of the reader's own machine
        raise Problem(403, "browser-refused", "models are not managed from web pages: leave out the header Origin")
    body = await request.body()
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Problem(400, "invalid-json", "expected a JSON object, or no body")
    if unknown := found.keys() - members:
        raise Problem(400, "invalid-json", f"{min(unknown)[:80]!r} is not known here")
    return found


def _check_parameters(body: dict[str, Any]) -> None:
    """Raises Problem 422 for parameters that would change the model: it is served as its folder has it."""
    parameters = body.get("parameters", {})
    if not isinstance(parameters, dict) or parameters.keys() - {IGNORED}:
        detail = "parameters cannot change a model: it is served as the models folder has it"
        raise Problem(422, "invalid-parameter", detail)
