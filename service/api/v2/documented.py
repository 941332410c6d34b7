"""What /openapi.json says of the protocol's paths, and of inference, whose bodies FastAPI does not read."""

from typing import Annotated, Any

from fastapi import Path

from service.api.v2.schema import InferenceRequest

Name = Annotated[str, Path(description="Name of the model, from /models.")]
Version = Annotated[str, Path(description="Version of the model, from /models.")]

_BINARY = {"type": "string", "format": "binary"}

INFERENCE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": InferenceRequest.model_json_schema()},
            "application/octet-stream": {"schema": _BINARY},
        },
    },
    "responses": {
        "200": {
            "description": "The output; as bytes behind the JSON where the request asks for that",
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "application/octet-stream": {"schema": _BINARY},
            },
        }
    },
}
"""Bodies of a request and of its response."""
