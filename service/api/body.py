"""Request bodies: their arrival in time, and JSON, which is read where it does not stop other requests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from fastapi import Request
from pydantic import ValidationError

from service.api.context import AppContext
from service.api.params import header
from service.deadline import Deadline
from service.errors import Problem
from service.images.codecs import LIGHT, Weight

T = TypeVar("T")

MEDIA_TYPE = "application/json"

MAX_JSON_BYTES = 8 * 2**20
"""Most JSON of a request, since what it describes may take thirty times its memory."""
INLINE_BYTES = 16_384
"""Bodies of so many bytes are read on the event loop, in less time than handing them to a thread takes."""
LIGHT_JSON_BYTES = 32_768
"""JSON of so many bytes is read in a thread, which stops the event loop for 4 ms at worst; more goes to a process."""
JSON_PIXELS = 4
"""A byte of JSON takes the memory of so many pixels."""


def content_type(request: Request) -> str:
    """Returns the media type of the body as Content-Type names it, in lower case without parameters; "" for none."""
    return (header(request.scope, b"content-type") or "").partition(";")[0].strip().lower()


@contextlib.asynccontextmanager
async def arriving(request: Request, deadline: Deadline) -> AsyncIterator[None]:
    """Bounds the time of a block that reads a body. Raises Problem 408, and 415 for a body that is compressed."""
    coding = (header(request.scope, b"content-encoding") or "identity").strip().lower()
    if coding != "identity":
        raise Problem(
            415,
            "unsupported-content-encoding",
            f"Content-Encoding {coding[:40]}: send the body as it is, since images are compressed already",
            headers={"Accept-Encoding": "identity"},
        )
    try:
        async with asyncio.timeout(deadline.left):
            yield
    except TimeoutError:
        raise Problem(
            408,
            "body-too-slow",
            f"the body did not arrive within {deadline.seconds:g} s: send it faster, or send a smaller image",
            headers={"Connection": "close"},
        ) from None


def check_json_size(size: int, advice: str) -> None:
    """Raises Problem 413, with `advice` on what to do, for JSON of too many bytes."""
    if size > MAX_JSON_BYTES:
        detail = f"the JSON has {size:,} bytes, but at most {MAX_JSON_BYTES:,} are read: {advice}"
        raise Problem(413, "json-too-large", detail)


async def read_beside(
    context: AppContext,
    deadline: Deadline,
    size: int,
    json_bytes: int,
    work: Callable[..., T],
    *arguments: object,
) -> T:
    """Returns what `work` makes of a body of `size` bytes, of which `json_bytes` take the time of JSON.

    Raises Problem as `work` does, 503 when too much such work waits, 504 past the deadline.
    """
    if size <= INLINE_BYTES:
        return work(*arguments)
    if json_bytes <= LIGHT_JSON_BYTES:
        return await context.codecs.run_in_time(deadline, LIGHT, work, *arguments)
    context.codecs.check_heavy_room(deadline)
    weight = Weight(json_bytes * JSON_PIXELS, light=False)
    return await context.codecs.run_in_time(deadline, weight, work, *arguments)


def refused(error: ValidationError) -> Problem:
    """Returns the problem of a body that a pydantic model refuses: 400 for what is no JSON, otherwise 422."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return Problem(
            400, "invalid-json", f"the body is not JSON: {first['msg'].removeprefix('Invalid JSON: ')[:200]}"
        )
    place = ".".join(str(part)[:40] for part in first["loc"]) or "the body"
    return Problem(422, "invalid-parameter", f"{place}: {first['msg']} (got {repr(first['input'])[:80]})")
