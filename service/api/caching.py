"""What lets caches keep a response: its validator, and the answer to a client that has it already (RFC 9110, 13)."""

import hashlib

from fastapi import Response
from starlette.types import Scope

from service.api.params import header


def etag_of(*parts: object) -> str:
    """Returns the entity tag of what `parts` determine.

    It is weak: another machine, or another release of a codec, may write other bytes for the same picture.
    """
    return f'W/"{hashlib.blake2b(repr(parts).encode(), digest_size=12).hexdigest()}"'


def not_modified(scope: Scope, headers: dict[str, str]) -> Response | None:
    """Returns a 304 with `headers`, among them the ETag, if the request says that the client has this response."""
    known = header(scope, b"if-none-match")
    if known is None:
        return None
    tags = {tag.strip().removeprefix("W/") for tag in known.split(",")}
    if "*" in tags or headers["ETag"].removeprefix("W/") in tags:
        return Response(status_code=304, headers=headers)
    return None
