"""POST /translate/{direction}: a picture of one domain into the other."""

import asyncio
import sys
import time
from collections.abc import Iterable
from contextlib import aclosing
from typing import Annotated, Literal, cast

import numpy as np
from fastapi import APIRouter, Path, Request, Response
from numpy.typing import NDArray
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from service.api import openapi
from service.api.context import state_of
from service.api.params import Deadline, Query
from service.card import SizeRule
from service.errors import Problem
from service.images import codecs
from service.images.geometry import DEFAULT_SIZE, MAXIMUM_SIZE, MINIMUM_SIDE, Size
from service.images.preprocess import Prepared, Wanted, prepare
from service.images.stages import note_codec

router = APIRouter(tags=["translate"])

CHUNK_BYTES = 2**18
"""Of an uploaded file, read at once."""


class TranslateQuery(Query):
    """What /translate/{direction} can be asked for beside the direction."""

    size: str = str(DEFAULT_SIZE)
    """Longest side in the model, or 'native'; the answer always has the input's size."""
    format: Literal["png", "jpeg", "webp"] | None = None
    """Wins over the Accept header."""


@router.post(
    "/translate/{direction}",
    response_class=Response,
    openapi_extra={
        "requestBody": openapi.UPLOAD,
        **TranslateQuery.documented(),
        "responses": openapi.TRANSLATION,
    },
)
async def translate(
    request: Request, direction: Annotated[str, Path(description="horse2zebra or zebra2horse; /models lists them.")]
) -> Response:
    """The translated picture, at the input's size and, unless asked otherwise, in its format."""
    shared = state_of(request)
    settings = shared.settings
    deadline, query = Deadline.of(request, settings.timeout_seconds), TranslateQuery.of(request)
    model = shared.registry.find("translate", direction, query.model)
    want = Wanted(
        query.format,
        request.headers.get("accept"),
        _parse_size(query.size),
        cast(SizeRule, model.card.size),
        settings.image_pixels,
        settings.model_pixels,
    )

    def decode(chunks: Iterable[bytes]) -> Prepared:
        start, body = time.perf_counter(), b"".join(chunks)
        prepared = shared.codec(codecs.is_light(body), deadline, prepare, body, want)
        note_codec(shared.metrics, "decode", prepared.source, start)
        return prepared

    def encode(pixels: NDArray[np.uint8], size: tuple[int, int], kind: codecs.Format) -> bytes:
        start = time.perf_counter()
        light = size[0] * size[1] <= codecs.LIGHT_PIXELS
        answer = shared.codec(light, deadline, codecs.from_model, pixels, size, kind)
        note_codec(shared.metrics, "encode", kind, start)
        return answer

    with shared.place(model, deadline):  # there is none: say so before the body is read
        pass
    chunks = await _read_in_time(request, deadline)
    with shared.place(model, deadline):
        prepared = await shared.in_codec_thread(deadline, decode, chunks)
    del chunks  # the upload has served
    translated = await shared.infer(model, prepared.rows, deadline, admitted=True)
    answer = await shared.in_codec_thread(deadline, encode, translated[0], prepared.size, prepared.format)
    return Response(answer, media_type=codecs.MEDIA_TYPES[prepared.format], headers={"X-Model": model.id})


def _parse_size(text: str) -> Size:
    if text == "native":
        return "native"
    if text.isascii() and text.isdigit() and MINIMUM_SIDE <= int(text[:5]) <= MAXIMUM_SIZE and len(text) < 5:
        return int(text)
    raise Problem(
        422, "invalid-parameter", f"size: expected 'native' or {MINIMUM_SIDE} to {MAXIMUM_SIZE}, got {text[:40]!r}"
    )


async def _read_in_time(request: Request, deadline: Deadline) -> Iterable[bytes]:
    try:
        async with asyncio.timeout(deadline.left):
            return await _read_picture(request)
    except TimeoutError:
        raise Problem(
            408,
            "body-too-slow",
            f"the body did not arrive within {deadline.seconds:g} s: send it faster, or a smaller picture",
            headers={"Connection": "close"},
        ) from None


async def _read_picture(request: Request) -> Iterable[bytes]:
    """The picture's bytes, from an image/* body or the multipart field `file`; in pieces, to be joined in a thread."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _read_form(request)
    if not kind.startswith("image/"):
        raise Problem(
            415,
            "unsupported-media-type",
            f"Content-Type {kind or '(none)'}: send the picture as image/jpeg, image/png or image/webp, "
            "or as multipart/form-data in the field 'file'",
        )
    chunks = [chunk async for chunk in request.stream()]
    if not any(chunks):
        raise _empty()
    return chunks


class _InMemory(MultiPartParser):
    """Starlette's, without files on a disk that may be full: the bodies' memory is bounded as it is."""

    spool_max_size = sys.maxsize


async def _read_form(request: Request) -> Iterable[bytes]:
    try:
        async with aclosing(request.stream()) as stream:
            form = await _InMemory(request.headers, stream, max_files=1, max_fields=8).parse()
    except (MultiPartException, ValueError) as error:  # the parser's complaint; a charset that is none
        reason = getattr(error, "message", error)
        raise Problem(400, "bad-multipart", f"the multipart body cannot be parsed: {reason}") from error
    upload = form.get("file")
    if not isinstance(upload, UploadFile):
        raise Problem(422, "missing-file", "the form has no file field named 'file': send the picture there")
    if not upload.size:
        raise _empty()
    return iter(lambda: upload.file.read(CHUNK_BYTES), b"")


def _empty() -> Problem:
    return Problem(422, "empty-body", "the body is empty: send a picture")
