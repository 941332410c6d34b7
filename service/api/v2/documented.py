"""What /openapi.json says of the protocol's paths and errors, and of inference, whose bodies FastAPI does not read."""

from typing import Annotated, Any, cast

from fastapi import Path
from pydantic import BaseModel

from service.api import openapi
from service.api.v2.schema import ErrorResponse, InferenceRequest, InferenceResponse

Name = Annotated[str, Path(description="Name of the model, from /models.")]
Version = Annotated[str, Path(description="Version of the model, from /models.")]


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """Returns a model's schema without references, which would lead nowhere inside the document."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})

    def resolved(node: object) -> object:
        if isinstance(node, list):
            return [resolved(item) for item in node]
        if not isinstance(node, dict):
            return node
        # an object as the default makes openapi-generator's client in Go one that does not compile
        kept = {n: item for n, item in node.items() if n != "$ref" and not (n == "default" and isinstance(item, dict))}
        own = {name: resolved(item) for name, item in kept.items()}
        part = parts[node["$ref"].rpartition("/")[2]] if "$ref" in node else {}
        return {**cast("dict[str, object]", resolved(part)), **own} if part else own

    return cast("dict[str, Any]", resolved(schema))


def _contents(model: type[BaseModel]) -> dict[str, Any]:
    """Returns the two forms of a message: JSON alone, and with binary tensors behind it."""
    return {
        "application/json": {"schema": _schema(model)},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    }


INFERENCE: dict[str, Any] = {
    "requestBody": {"required": True, "content": _contents(InferenceRequest)},
    "responses": {
        "200": {
            "description": "The output; as bytes behind the JSON where the request asks for that",
            "content": _contents(InferenceResponse),
        }
    },
}
"""Bodies of a request and of its response."""

ERRORS: dict[int | str, dict[str, Any]] = {
    statuses: {
        "description": "The protocol's error; a problem document where no route is reached, as without a key",
        "content": {"application/json": {"schema": _schema(ErrorResponse)}, **error["content"]},
        "headers": error["headers"],
    }
    for statuses, error in openapi.ERRORS.items()
}
"""Any other response of a route."""
