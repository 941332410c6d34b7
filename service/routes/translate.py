"""POST /translate/{direction}: a picture of one domain into the other."""

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from service import codecs
from service.geometry import DEFAULT_SIZE, MAXIMUM_SIZE, MINIMUM_SIDE, Size, model_size
from service.negotiation import choose_format
from service.problems import Problem
from service.state import Shared

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


@router.post("/translate/{direction}", response_class=Response, openapi_extra={"requestBody": _BODY})
async def translate(
    request: Request,
    shared: Shared,
    direction: Annotated[str, Path(description="horse2zebra or zebra2horse; /models lists them.")],
    size: Annotated[
        str, Query(description="Longest side in the model, or 'native'; the answer always has the input's size.")
    ] = str(DEFAULT_SIZE),
    format: Annotated[Literal["png", "jpeg", "webp"] | None, Query(description="Wins over the Accept header.")] = None,
    model: Annotated[str | None, Query(description="A model of /models instead of the default.")] = None,
    accept: Annotated[str | None, Header()] = None,
) -> Response:
    """The translated picture, at the input's size and, unless asked otherwise, in its format."""
    chosen = shared.registry.find("translate", direction, model)
    wanted = _parse_size(size)
    shared.check_room(chosen)
    body = await _read_picture(request)
    settings = shared.settings
    picture = await shared.in_codec_thread(codecs.decode, body, settings.image_pixels)
    kind = choose_format(format, accept, codecs.MEDIA_TYPES, picture.format)
    original = picture.image.size
    if max(original) > codecs.LONGEST_SIDE[kind]:
        raise Problem(
            422,
            "too-long-for-format",
            f"the picture is {original[0]}x{original[1]}, {kind} holds at most {codecs.LONGEST_SIDE[kind]:,} a side: "
            "ask for format=png",
        )
    if chosen.card.size is None:
        raise Problem(500, "bad-card", f"the card of {chosen.id} has no size rule: export it again")
    inner = model_size(*original, wanted, chosen.card.size, settings.model_pixels)
    rows = await shared.in_codec_thread(codecs.to_model, picture.image, inner)
    translated = await shared.infer(chosen, rows)
    answer = await shared.in_codec_thread(codecs.from_model, translated[0], original, kind)
    return Response(answer, media_type=codecs.MEDIA_TYPES[kind], headers={"X-Model": chosen.id})


def _parse_size(text: str) -> Size:
    if text == "native":
        return "native"
    if text.isascii() and text.isdigit() and MINIMUM_SIDE <= int(text[:5]) <= MAXIMUM_SIZE and len(text) < 5:
        return int(text)
    raise Problem(
        422, "invalid-parameter", f"size: expected 'native' or {MINIMUM_SIDE} to {MAXIMUM_SIZE}, got {text[:40]!r}"
    )


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
        except HTTPException as error:  # what Starlette makes of its parser's complaint
            raise Problem(400, "bad-multipart", f"the multipart body cannot be parsed: {error.detail}") from error
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
