"""POST /translate/{direction}: a picture of one domain into the other."""

import asyncio
import time
from typing import Annotated, Literal, cast

import numpy as np
from fastapi import APIRouter, Path, Request, Response
from numpy.typing import NDArray
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from service import codecs
from service.card import SizeRule
from service.geometry import DEFAULT_SIZE, MAXIMUM_SIZE, MINIMUM_SIDE, Size, model_size
from service.negotiation import choose_format
from service.parameters import Deadline, Query
from service.problems import Problem
from service.stages import note_codec
from service.state import state_of

router = APIRouter(tags=["translate"])

_BODY = {
    "required": True,
    "content": {
        "image/*": {"schema": {"type": "string", "format": "binary"}},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "string", "format": "binary"}},
            }
        },
    },
}


class TranslateQuery(Query):
    """What /translate/{direction} can be asked for beside the direction."""

    size: str = str(DEFAULT_SIZE)
    """Longest side in the model, or 'native'; the answer always has the input's size."""
    format: Literal["png", "jpeg", "webp"] | None = None
    """Wins over the Accept header."""


@router.post(
    "/translate/{direction}",
    response_class=Response,
    openapi_extra={"requestBody": _BODY, **TranslateQuery.documented()},
)
async def translate(
    request: Request, direction: Annotated[str, Path(description="horse2zebra or zebra2horse; /models lists them.")]
) -> Response:
    """The translated picture, at the input's size and, unless asked otherwise, in its format."""
    shared = state_of(request)
    settings = shared.settings
    deadline, query = Deadline.of(request, settings.timeout_seconds), TranslateQuery.of(request)
    model = shared.registry.find("translate", direction, query.model)
    wanted, accept = _parse_size(query.size), request.headers.get("accept")

    def prepare(body: bytes) -> tuple[NDArray[np.uint8], tuple[int, int], codecs.Format]:
        """Input rows, the answer's size and format: one job, so that no full-size picture outlives its thread."""
        start = time.perf_counter()
        picture = codecs.decode(body, settings.image_pixels)
        kind = choose_format(query.format, accept, codecs.MEDIA_TYPES, picture.format)
        codecs.check_side(picture.image.size, kind)
        inner = model_size(*picture.image.size, wanted, cast(SizeRule, model.card.size), settings.model_pixels)
        rows = codecs.to_model(picture.image, inner)
        note_codec(shared.metrics, "decode", picture.format, start)
        return rows, picture.image.size, kind

    def finish(pixels: NDArray[np.uint8], size: tuple[int, int], kind: codecs.Format) -> bytes:
        start = time.perf_counter()
        answer = codecs.from_model(pixels, size, kind)
        note_codec(shared.metrics, "encode", kind, start)
        return answer

    with shared.place(model, deadline):  # there is none: say so before the body is read
        pass
    body = await _read_in_time(request, deadline)
    with shared.place(model, deadline):
        rows, original, kind = await shared.in_codec_thread(deadline, prepare, body)
    translated = await shared.infer(model, rows, deadline, admitted=True)
    answer = await shared.in_codec_thread(deadline, finish, translated[0], original, kind)
    return Response(answer, media_type=codecs.MEDIA_TYPES[kind], headers={"X-Model": model.id})


def _parse_size(text: str) -> Size:
    if text == "native":
        return "native"
    if text.isascii() and text.isdigit() and MINIMUM_SIDE <= int(text[:5]) <= MAXIMUM_SIZE and len(text) < 5:
        return int(text)
    raise Problem(
        422, "invalid-parameter", f"size: expected 'native' or {MINIMUM_SIDE} to {MAXIMUM_SIZE}, got {text[:40]!r}"
    )


async def _read_in_time(request: Request, deadline: Deadline) -> bytes:
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


async def _read_picture(request: Request) -> bytes:
    """The picture's bytes, from an image/* body or the multipart field `file`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        try:
            async with request.form(max_files=1, max_fields=8) as form:
                file = form.get("file")
                if not isinstance(file, UploadFile):
                    raise Problem(
                        422, "missing-file", "the form has no file field named 'file': send the picture there"
                    )
                body = await file.read()
        except (HTTPException, ValueError) as error:  # the parser's complaint; a charset that is none
            reason = getattr(error, "detail", error)
            raise Problem(400, "bad-multipart", f"the multipart body cannot be parsed: {reason}") from error
    elif kind.startswith("image/"):
        body = await request.body()
    else:
        raise Problem(
            415,
            "unsupported-media-type",
            f"Content-Type {kind or '(none)'}: send the picture as image/jpeg, image/png or image/webp, "
            "or as multipart/form-data in the field 'file'",
        )
    if not body:
        raise Problem(422, "empty-body", "the body is empty: send a picture")
    return body
