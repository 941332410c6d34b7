"""The upload of a translation: an image as the body, or as the part `file` of a form, with parameters beside it."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field

from fastapi import Request
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from service.api.params import header
from service.deadline import Deadline
from service.errors import Problem

CHUNK_BYTES = 2**18
"""Bytes of an uploaded file that are read at once."""

_FILE = "file"
_BY_CONTENT = ("", "application/octet-stream", "binary/octet-stream")
"""Content types that say nothing: the bytes tell the format, as they do for every image type."""


@dataclass(frozen=True)
class Body:
    """What a request brought."""

    chunks: Iterable[bytes]
    """The image file, which a codec thread will join."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """The other fields of a form; of a repeated one the last."""


async def read_in_time(request: Request, deadline: Deadline) -> Body:
    """Reads the body. Raises Problem: 400, 408, 413, 415, 422 or 503."""
    async with arriving(request, deadline):
        return await _read(request)


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


async def _read(request: Request) -> Body:
    kind = (header(request.scope, b"content-type") or "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _read_form(request)
    if kind not in _BY_CONTENT and not kind.startswith("image/"):
        raise Problem(
            415,
            "unsupported-media-type",
            f"Content-Type {kind[:80]}: send the image with its own type, such as image/jpeg (with curl, "
            "-H 'Content-Type: image/jpeg'), or as multipart/form-data in the field 'file'",
        )
    chunks = [chunk async for chunk in request.stream()]
    if not any(chunks):
        raise _empty()
    return Body(chunks)


class _InMemory(MultiPartParser):
    """Starlette's parser without temporary files: the disk may be full, and the memory of bodies is bounded."""

    spool_max_size = sys.maxsize

    def on_headers_finished(self) -> None:
        """A part's head is complete. The part `file` is a file, whether or not the client named it."""
        _, options = parse_options_header(self._current_part.content_disposition)
        if options.get(b"name") == _FILE.encode() and b"filename" not in options:
            self._current_part.content_disposition = b'form-data; name="file"; filename=""'
        super().on_headers_finished()


async def _read_form(request: Request) -> Body:
    try:
        async with contextlib.aclosing(request.stream()) as stream:
            form = await _InMemory(request.headers, stream, max_files=1, max_fields=8).parse()
    except (MultiPartException, ValueError) as error:  # malformed form; unknown charset
        reason = getattr(error, "message", error)
        raise Problem(400, "bad-multipart", f"the multipart body cannot be parsed: {reason}") from error
    upload = form.get(_FILE)
    if not isinstance(upload, UploadFile):
        came = ", ".join(repr(name[:40]) for name in form) or "no field at all"
        raise Problem(422, "missing-file", f"the form has no field 'file' but {came}: send the image in 'file'")
    if not upload.size:
        raise _empty()
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    return Body(iter(lambda: upload.file.read(CHUNK_BYTES), b""), fields)


def _empty() -> Problem:
    return Problem(422, "empty-body", "the body is empty: send an image")
