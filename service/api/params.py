"""A request's query and headers, validated by one pydantic model per route.

FastAPI's own way, a function parameter for each, takes longer than a digit takes in the network.
"""

import functools
from collections.abc import Mapping
from typing import Annotated, Self, TypeVar
from urllib.parse import parse_qsl

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from starlette.types import Scope

from service.deadline import Deadline
from service.nearest import nearest

TIMEOUT_HEADER = "X-Request-Timeout"
_TIMEOUT_KEY = TIMEOUT_HEADER.lower().encode()
_TIMEOUT = TypeAdapter(Annotated[float, Field(gt=0, allow_inf_nan=False)])


def header(scope: Scope, name: bytes) -> str | None:
    """Returns the first header `name` (in lower case) of a request, without building a dictionary of all headers."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


Q = TypeVar("Q", bound=BaseModel)


def _split(text: bytes) -> dict[str, str]:
    return dict(parse_qsl(text.decode("latin-1"), keep_blank_values=True))


@functools.lru_cache(64)
def _parse(query: type[Q], text: bytes) -> Q:
    """Validates a query string. Equal strings share one frozen model. Raises ValidationError."""
    return query.model_validate(_split(text))


class Query(BaseModel):
    """The query parameters of a route. Their docstrings become its documentation."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid", frozen=True)

    model: str | None = None
    """Model to use, as `name` or `name/version` from /models. The default depends on the route."""

    @field_validator("format", mode="before", check_fields=False)
    @classmethod
    def _spell(cls, name: object) -> object:
        """Reads a format in any case, and by the ending that its files often have."""
        lower = name.lower() if isinstance(name, str) else name
        return "jpeg" if lower == "jpg" else lower

    @classmethod
    def of(cls, request: Request, fields: Mapping[str, str] | None = None) -> Self:
        """Reads a request's query; of a repeated parameter the last counts. `fields`: further ones, from the body.

        Raises RequestValidationError for a wrong value, for a parameter that does not exist, and for one that the query
        and the body set to different values.
        """
        text: bytes = request.scope["query_string"]
        try:
            if not fields:
                return _parse(cls, text)
            query = _split(text)
            differing = [name for name in query.keys() & fields.keys() if query[name] != fields[name]]
            if not differing:
                return cls.model_validate({**query, **fields})
        except ValidationError as error:
            raise cls.refused(error, "query") from error
        msg = "the body and the query differ: send the parameter once"
        raise RequestValidationError([{"loc": ("body", name), "msg": msg, "input": fields[name]} for name in differing])

    @classmethod
    def refused(cls, error: ValidationError, place: str, without: str | None = None) -> RequestValidationError:
        """Explains the errors; a parameter that does not exist is probably a mistyped one.

        `place`: where the parameters came. `without`: a parameter that does not exist there.
        """
        details = []
        for detail in error.errors():
            if detail["type"] == "extra_forbidden":
                known = [field.alias or name for name, field in cls.model_fields.items() if name != without]
                near, names = nearest(str(detail["loc"][0])[:40], known), ", ".join(known)
                reason = f"there is no such parameter: the nearest is {near!r}, the parameters are {names}"
                detail["msg"] = reason
            details.append({**detail, "loc": (place, *detail["loc"])})
        return RequestValidationError(details)


def deadline_of(request: Request, max_seconds: float) -> Deadline:
    """Returns the deadline that the client's header asks for, at most `max_seconds` from now.

    Raises RequestValidationError.
    """
    asked = header(request.scope, _TIMEOUT_KEY)
    try:
        seconds = max_seconds if asked is None else min(_TIMEOUT.validate_python(asked), max_seconds)
    except ValidationError as error:
        name = "header", TIMEOUT_HEADER.lower()
        raise RequestValidationError([{**detail, "loc": name} for detail in error.errors()]) from error
    return Deadline.after(seconds)
