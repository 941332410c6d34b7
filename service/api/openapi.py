"""Bodies that /openapi.json describes and FastAPI cannot tell from the routes' signatures."""

from typing import Any

from service.images.codecs import MEDIA_TYPES

_BINARY = {"type": "string", "format": "binary"}
_TEXT = {"type": "string"}


def _object(optional: tuple[str, ...] = (), **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": [n for n in properties if n not in optional], "properties": properties}


UPLOAD = {
    "required": True,
    "content": {
        "image/*": {"schema": _BINARY},
        "multipart/form-data": {"schema": _object(file=_BINARY)},
    },
}
"""The picture of a translation."""

TRANSLATION = {
    "200": {
        "description": "The picture; X-Model names what drew it",
        "content": {media_type: {"schema": _BINARY} for media_type in MEDIA_TYPES.values()},
    }
}
"""The answer to it."""

_DIGIT = _object(
    seed={**_TEXT, "description": "In decimal digits: it may exceed 2^53"},
    png={**_TEXT, "contentEncoding": "base64", "contentMediaType": "image/png"},
)
DIGITS = {
    "200": {
        "description": "The digits; X-Seed and X-Model say how to draw them again",
        "content": {
            "image/png": {"schema": _BINARY},
            "application/x-npy": {"schema": {**_BINARY, "description": "uint8 (count, 28, 28), 0 paper to 255 ink"}},
            "application/json": {"schema": _object(digits={"type": "array", "items": _DIGIT})},
        },
    }
}
"""The answer to a request for samples."""

METRICS = {"200": {"description": "Prometheus' text format", "content": {"text/plain": {"schema": _TEXT}}}}
"""The answer to a scrape."""

PROBLEM: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What was expected, what came, what to do (RFC 9457)",
        "content": {
            "application/problem+json": {
                "schema": _object(
                    ("available",),
                    type={**_TEXT, "description": "urn:gan:problem: and a name that stays the same"},
                    title={**_TEXT, "description": "The status in words"},
                    status={"type": "integer"},
                    detail={**_TEXT, "description": "For a person: what to do"},
                    instance={**_TEXT, "description": "urn:gan:request: and the request's id"},
                    request_id={**_TEXT, "description": "What the service's log has of it"},
                    available={"type": "array", "items": _TEXT, "description": "What there is instead"},
                )
            }
        },
    }
}
"""Any other answer of a route."""
