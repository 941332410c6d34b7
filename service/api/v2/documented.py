"""What /openapi.json says of the protocol's paths and errors, and of inference, whose bodies FastAPI does not read."""

from typing import Annotated, Any, Literal, cast

from fastapi import Path
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.api import openapi
from service.api.schemas import Part, shared
from service.api.v2.message import LENGTH_HEADER
from service.api.v2.schema import ErrorResponse, InferenceRequest, InferenceResponse

Name = Annotated[str, Path(description="Name of the model, from /models.")]
Version = Annotated[str, Path(description="Version of the model, from /models.")]


def _schemas(*messages: type[BaseModel]) -> dict[str, Part]:
    """Returns the schemas of messages and of their parts, by name."""
    modes: list[tuple[type[BaseModel], Literal["validation"]]] = [(message, "validation") for message in messages]
    _, document = models_json_schema(modes, ref_template="#/components/schemas/{model}")
    found = cast("dict[str, Part]", document["$defs"])
    for schema in found.values():
        for member in schema["properties"].values():
            if isinstance(
                member.get("default"), dict
            ):  # makes openapi-generator's client in Go one that does not compile
                del member["default"]
    return found


SCHEMAS = _schemas(InferenceRequest, InferenceResponse, ErrorResponse)
"""Schemas of the protocol's messages; shared components of the document."""


def _contents(model: type[BaseModel]) -> dict[str, Any]:
    """Returns the two forms of a message: JSON alone, and with binary tensors behind it."""
    return {
        "application/json": {"schema": shared(model.__name__)},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    }


LENGTH: Part = {
    "name": LENGTH_HEADER,
    "in": "header",
    "required": False,
    "description": "Bytes of the JSON in front of binary tensors. Without it the whole body is JSON.",
    "schema": {"type": "integer", "minimum": 0},
}
INFERENCE: dict[str, Any] = {
    "parameters": [openapi.TIMEOUT, LENGTH],
    "requestBody": {"required": True, "content": _contents(InferenceRequest)},
    **openapi.response(
        "The output; as bytes behind the JSON where the request asks for that",
        _contents(InferenceResponse),
        *(LENGTH_HEADER, "RateLimit", "RateLimit-Policy", "Server-Timing", "X-Model"),
    ),
}
"""Header parameters and body of a request, and its response."""

ERRORS: dict[int | str, dict[str, Any]] = {
    statuses: {
        "description": "The protocol's error; a problem document where no route is reached, as without a key",
        "content": {"application/json": {"schema": shared("ErrorResponse")}, **error["content"]},
        "headers": error["headers"],
    }
    for statuses, error in openapi.ERRORS.items()
}
"""Any other response of a route."""
