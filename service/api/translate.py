"""POST /translate/{direction}: an image of one domain into the other."""

import asyncio
import contextlib
import sys
from collections.abc import Iterable
from functools import partial
from typing import Annotated, Literal, cast

import numpy as np
from fastapi import APIRouter, Path, Request, Response
from numpy.typing import NDArray
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from service.api import openapi
from service.api.context import AppContext, context_of
from service.api.negotiation import choose_format
from service.api.params import Query, deadline_of, header
from service.card import SizeRule
from service.deadline import Deadline
from service.errors import Problem
from service.images import codecs, detail
from service.images.codec_pool import Upload
from service.images.preprocess import MAXIMUM_SIZE, MINIMUM_SIDE, InputSpec, Size
from service.images.tiles import Tiling
from service.registry import Model
from service.runtime.cpu import PROVIDER as CPU

router = APIRouter(tags=["translate"])

CHUNK_BYTES = 2**18
"""Bytes of an uploaded file that are read at once."""


class TranslateQuery(Query):
    """The query of /translate/{direction}."""

    size: str | None = None
    """Longest side inside the model (64 to 1024), or 'native'. The response always has the size of the upload.
    Default: 256 for images whose sides are at most 256, for others 384 on the CPU and 512 on a GPU."""
    detail: Literal["on", "off"] = "on"
    """'on' adds the model's change, enlarged, to the upload, which keeps its fine detail. 'off' enlarges the model's
    image. Both are the same where the upload has the size inside the model."""
    format: Literal["png", "jpeg", "webp"] | None = None
    """Format of the response; takes precedence over the Accept header. Default: the format of the upload."""


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
    request: Request, direction: Annotated[str, Path(description="horse2zebra or zebra2horse, listed by /models.")]
) -> Response:
    """Returns the translated image at the size of the upload and, unless asked otherwise, in its format."""
    context = context_of(request)
    settings = context.settings
    deadline, query = deadline_of(request, settings.timeout_seconds), TranslateQuery.of(request)
    model = context.registry.find("translate", direction, query.model)
    rule = cast(SizeRule, model.card.size)
    size, gpu = _parse_size(query.size), model.provider != CPU
    spec = InputSpec(size, rule, settings.image_pixels, settings.model_pixels, gpu)
    context.check_room(model, deadline)  # a refusal comes before the body is read
    chunks: Iterable[bytes] = iter(await _read_in_time(request, deadline))  # drops them when it has given the last
    async with contextlib.AsyncExitStack() as turn:
        if spec.tiled:
            one_at_a_time = context.codecs.turn(chunks, settings.model_pixels, deadline)
            chunks = [await turn.enter_async_context(one_at_a_time)]
        with context.reserve(model, deadline):
            upload = await context.codecs.decode(chunks, spec, deadline)
        del chunks
        image, kept = upload.image, _kept(upload, query)
        del upload  # frees the file, unless it is kept
        kind = choose_format(query.format, header(request.scope, b"accept"), codecs.MEDIA_TYPES, image.format)
        codecs.check_side(image.size, kind)
        if spec.tiled:
            pixels = await _infer_in_tiles(context, model, image.inputs, deadline)
        else:
            (pixels,) = await context.infer(model, image.inputs, deadline, reserved=True)
        encode = partial(context.codecs.encode, deadline, kind)
        if kept is None:
            weight = codecs.Weight.of_size(image.size)
            body = await encode(codecs.from_model, pixels, image.size, kind, weight=weight)
        else:
            (before,), limit = image.inputs, settings.image_pixels
            body = await encode(detail.render, kept.body, before, pixels, kind, limit, weight=kept.weight)
    headers = {"X-Model": model.id, "X-Size": "{}x{}".format(*image.model_size)}
    return Response(body, media_type=codecs.MEDIA_TYPES[kind], headers=headers)


async def _infer_in_tiles(
    context: AppContext, model: Model, image: NDArray[np.uint8], deadline: Deadline
) -> NDArray[np.uint8]:
    """Returns what the model makes of an image (1, height, width, 3), row by row of tiles, as (height, width, 3)."""
    tiling = Tiling(image, cast(SizeRule, model.card.size))
    for row in tiling.rows:
        tiles = await context.codecs.run(tiling.cut, row)  # copying takes milliseconds
        outputs = await context.infer(model, tiles, deadline, reserved=True)
        await context.codecs.run(tiling.put, row, outputs)
    return tiling.output


def _kept(upload: Upload, query: TranslateQuery) -> Upload | None:
    """Returns the upload if its detail goes into the response."""
    return upload if query.detail == "on" and upload.image.size != upload.image.model_size else None


def _parse_size(text: str | None) -> Size | None:
    if text is None:
        return None
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
            return await _read_upload(request)
    except TimeoutError:
        raise Problem(
            408,
            "body-too-slow",
            f"the body did not arrive within {deadline.seconds:g} s: send it faster, or send a smaller image",
            headers={"Connection": "close"},
        ) from None


async def _read_upload(request: Request) -> Iterable[bytes]:
    """Reads the image, from an image/* body or the multipart field `file`, in chunks that a codec thread will join."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _read_form(request)
    if not kind.startswith("image/"):
        raise Problem(
            415,
            "unsupported-media-type",
            f"Content-Type {kind or '(none)'}: send the image as image/jpeg, image/png or image/webp, "
            "or as multipart/form-data in the field 'file'",
        )
    chunks = [chunk async for chunk in request.stream()]
    if not any(chunks):
        raise _empty()
    return chunks


class _InMemory(MultiPartParser):
    """Starlette's parser without temporary files: the disk may be full, and the memory of bodies is bounded."""

    spool_max_size = sys.maxsize


async def _read_form(request: Request) -> Iterable[bytes]:
    try:
        async with contextlib.aclosing(request.stream()) as stream:
            form = await _InMemory(request.headers, stream, max_files=1, max_fields=8).parse()
    except (MultiPartException, ValueError) as error:  # malformed form; unknown charset
        reason = getattr(error, "message", error)
        raise Problem(400, "bad-multipart", f"the multipart body cannot be parsed: {reason}") from error
    upload = form.get("file")
    if not isinstance(upload, UploadFile):
        raise Problem(422, "missing-file", "the form has no file field named 'file': send the image there")
    if not upload.size:
        raise _empty()
    return iter(lambda: upload.file.read(CHUNK_BYTES), b"")


def _empty() -> Problem:
    return Problem(422, "empty-body", "the body is empty: send an image")
