"""What a request asks for in its query and headers, validated by one model a route.

FastAPI's own way (a parameter of the function each) takes longer than a digit does in the network.
"""

import functools
import time
from typing import Annotated, Any, NamedTuple, Self, TypeVar
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.types import Scope

TIMEOUT_HEADER = "X-Request-Timeout"
_TIMEOUT_KEY = TIMEOUT_HEADER.lower().encode()
_TIMEOUT = TypeAdapter(Annotated[float, Field(gt=0, allow_inf_nan=False)])


def header(scope: Scope, name: bytes) -> str | None:
    """The first header `name` (in small letters) of a request, without a dictionary of all of them."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


Q = TypeVar("Q", bound=BaseModel)


@functools.lru_cache(64)
def _parsed(query: type[Q], text: bytes) -> Q:
    """The model of a query string, or of one like it before: they cannot be changed. Raises ValidationError."""
    return query.model_validate(dict(parse_qsl(text.decode("latin-1"), keep_blank_values=True)))


class Query(BaseModel):
    """The query parameters of a route; their docstrings are its documentation."""

    model_config = ConfigDict(use_attribute_docstrings=True, frozen=True)

    model: str | None = None
    """A model of /models instead of the default."""

    @classmethod
    def of(cls, request: Request) -> Self:
        """Those of `request`, of a repeated one the last. Raises RequestValidationError naming each bad one."""
        try:
            return _parsed(cls, request.scope["query_string"])
        except ValidationError as error:
            raise _refused("query", error) from error

    @classmethod
    def documented(cls) -> dict[str, Any]:
        """For a route's `openapi_extra`: these, and the header of the deadline."""
        described = [
            {
                "name": name,
                "in": "query",
                "required": field.is_required(),
                "description": field.description,
                "schema": {
                    k: v
                    for k, v in cls.model_json_schema()["properties"][name].items()
                    if k not in ("description", "title")
                },
            }
            for name, field in cls.model_fields.items()
        ]
        timeout = {
            "name": TIMEOUT_HEADER,
            "in": "header",
            "required": False,
            "description": "Seconds that the client waits; at most GAN_TIMEOUT_SECONDS.",
            "schema": {"type": "number", "exclusiveMinimum": 0},
        }
        return {"parameters": [*described, timeout]}


class Deadline(NamedTuple):
    """When a request's answer is of no more use to its client."""

    seconds: float
    """What it was given on arrival."""
    ends: float
    """On the monotonic clock."""

    @classmethod
    def of(cls, request: Request, most_seconds: float) -> Self:
        """From now: what the client's header allows, at most `most_seconds`. Raises RequestValidationError."""
        asked = header(request.scope, _TIMEOUT_KEY)
        try:
            seconds = most_seconds if asked is None else min(_TIMEOUT.validate_python(asked), most_seconds)
        except ValidationError as error:
            raise _refused("header", error, TIMEOUT_HEADER.lower()) from error
        return cls(seconds, time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds left, at least 0."""
        return max(0.0, self.ends - time.monotonic())


def _refused(place: str, error: ValidationError, *name: str) -> RequestValidationError:
    return RequestValidationError([{**detail, "loc": (place, *name, *detail["loc"])} for detail in error.errors()])
