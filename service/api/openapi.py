"""Parts of /openapi.json that FastAPI cannot infer from the routes' signatures: bodies of requests and responses."""

from typing import Any

from service.images.codecs import MEDIA_TYPES

_BINARY = {"type": "string", "format": "binary"}
_TEXT = {"type": "string"}


def _object(optional: tuple[str, ...] = (), **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": [n for n in properties if n not in optional], "properties": properties}


UPLOAD = {
    "description": "The image, whose bytes tell its format. A form may have the query's parameters as further fields.",
    "required": True,
    "content": {
        "image/*": {"schema": _BINARY},
        "multipart/form-data": {"schema": _object(file=_BINARY)},
        "application/octet-stream": {"schema": _BINARY},
    },
}
"""Request body of a translation."""

TRANSLATION = {
    "200": {
        "description": "The translated image; X-Model names the model, X-Size is width x height inside it",
        "content": {media_type: {"schema": _BINARY} for media_type in MEDIA_TYPES.values()},
    }
}
"""Response to a translation."""

_DIGIT = _object(
    seed={**_TEXT, "description": "Decimal; it may exceed 2^53"},
    png={**_TEXT, "contentEncoding": "base64", "contentMediaType": "image/png"},
)
DIGITS = {
    "200": {
        "description": "The digits; X-Seed and X-Model reproduce them",
        "content": {
            "image/png": {"schema": _BINARY},
            "application/x-npy": {
                "schema": {**_BINARY, "description": "uint8 (count, 28, 28), from 0 for paper to 255 for ink"}
            },
            "application/json": {"schema": _object(digits={"type": "array", "items": _DIGIT})},
        },
    }
}
"""Response to a request for digits."""

METRICS = {"200": {"description": "Prometheus' text format", "content": {"text/plain": {"schema": _TEXT}}}}
"""Response to a scrape."""

PROBLEM: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A problem document (RFC 9457): what was expected, what was received, what to do",
        "content": {
            "application/problem+json": {
                "schema": _object(
                    ("available",),
                    type={**_TEXT, "description": "urn:gan:problem:<name>; the names are stable"},
                    title={**_TEXT, "description": "Name of the status"},
                    status={"type": "integer"},
                    detail={**_TEXT, "description": "Explanation for people: what to do"},
                    instance={**_TEXT, "description": "urn:gan:request:<request id>"},
                    request_id={**_TEXT, "description": "Id of the request in the service's log"},
                    available={"type": "array", "items": _TEXT, "description": "Values that exist"},
                )
            }
        },
    }
}
"""Any other response of a route."""
