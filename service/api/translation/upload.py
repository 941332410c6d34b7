"""The upload of a translation: an image as the body or in JSON, or images as the parts `file` of a form."""

import contextlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from fastapi import Request
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from service.api.body import INLINE_BYTES, MEDIA_TYPE, arriving, content_type, read_beside
from service.api.context import AppContext
from service.api.translation import json_image
from service.deadline import Deadline
from service.errors import Problem
from service.images.codecs import LIGHT

CHUNK_BYTES = 2**18
"""Bytes of an uploaded file that are read at once."""

MAX_FILES = 100
"""Most files of a form."""

_FILE = "file"
_BY_CONTENT = ("", "application/octet-stream", "binary/octet-stream")
"""Content types that name no format: the bytes tell it, as they do for every image type."""


class UploadedFile(NamedTuple):
    """An image file."""

    name: str
    """Name that the client gave it; empty if none."""
    size: int
    """Its bytes."""
    chunks: Iterable[bytes]
    """The bytes themselves, which a codec thread will join. They are dropped when the last has been taken."""


@dataclass(frozen=True)
class Body:
    """What a request brought."""

    files: list[UploadedFile]
    """The image files, at least one."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Parameters beside them; of a repeated one the last."""
    json: bool = False
    """Whether the image came in JSON."""


async def read_in_time(request: Request, context: AppContext, deadline: Deadline) -> Body:
    """Reads the body. Raises Problem: 400, 408, 413, 415, 422, 503 or 504."""
    kind = content_type(request)
    if kind == "multipart/form-data":
        async with arriving(request, deadline):
            return await _read_form(request)
    if kind not in (*_BY_CONTENT, MEDIA_TYPE) and not kind.startswith("image/"):
        raise Problem(
            415,
            "unsupported-media-type",
            f"Content-Type {kind[:80]}: send the image with its own type, such as image/jpeg (with curl, "
            "-H 'Content-Type: image/jpeg'), or as multipart/form-data in the field 'file'",
        )
    async with arriving(request, deadline):
        chunks = [chunk async for chunk in request.stream()]
    size = sum(map(len, chunks))
    if not size:
        raise empty()
    if kind != MEDIA_TYPE:
        return Body([UploadedFile("", size, iter(chunks))])
    costly = size > INLINE_BYTES and await context.codecs.run_in_time(deadline, LIGHT, json_image.is_costly, chunks)
    # plain base64 is read as fast as bytes; a tuple, unlike a list, is sent to a process without a copy
    work = json_image.read, tuple(chunks)
    image, fields = await read_beside(context, deadline, size, size if costly else 0, *work)
    if not image:
        raise empty()
    return Body([UploadedFile("", len(image), iter([image]))], fields, json=True)


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
            form = await _InMemory(request.headers, stream, max_files=MAX_FILES, max_fields=8).parse()
    except (MultiPartException, ValueError) as error:  # malformed form; unknown charset
        reason = getattr(error, "message", error)
        raise Problem(400, "bad-multipart", f"the multipart body cannot be parsed: {reason}") from error
    uploads = [upload for upload in form.getlist(_FILE) if isinstance(upload, UploadFile)]
    others = [name for name, value in form.multi_items() if name != _FILE and isinstance(value, UploadFile)]
    if not uploads:
        came = ", ".join(repr(name[:40]) for name in form) or "no field at all"
        raise Problem(422, "missing-file", f"the form has no field 'file' but {came}: send the image in 'file'")
    if others:
        detail = f"the form has a file in the field {others[0][:40]!r}: send every image in 'file'"
        raise Problem(422, "invalid-parameter", detail)
    if not any(upload.size for upload in uploads):
        raise empty()
    files = [
        UploadedFile(upload.filename or "", upload.size or 0, iter(partial(upload.file.read, CHUNK_BYTES), b""))
        for upload in uploads
    ]
    return Body(files, {name: value for name, value in form.items() if isinstance(value, str)})


def empty() -> Problem:
    """The 422 of a request without an image."""
    return Problem(422, "empty-body", "there are no bytes: send an image")
