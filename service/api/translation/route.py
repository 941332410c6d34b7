"""POST /translate/{direction}: images of one domain into the other."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from service.api import openapi, schemas
from service.api.body import MEDIA_TYPE
from service.api.context import AppContext, context_of
from service.api.negotiation import VARY, choose_format, media_type_of
from service.api.params import deadline_of, header
from service.api.translation import json_image
from service.api.translation.archive import ARCHIVES
from service.api.translation.bulk import chosen_archive, translate_all
from service.api.translation.one_image import Translated, TranslateQuery, input_spec, translate_file
from service.api.translation.upload import UploadedFile, read_in_time
from service.deadline import Deadline
from service.images import codecs
from service.images.preprocess import InputSpec
from service.model import Model
from service.telemetry import stages

router = APIRouter(tags=["translate"])

RESPONSE = openapi.response(
    "The translated image; X-Model names the model, X-Size is width x height inside it",
    {
        **openapi.IMAGES,
        **{media_type: {"schema": schemas.BINARY} for media_type in ARCHIVES.values()},
        MEDIA_TYPE: {"schema": schemas.shared("TranslatedImage")},
    },
    *("Content-Disposition", "RateLimit", "RateLimit-Policy", "Server-Timing", "Vary", "X-Model", "X-Size"),
)


@router.post(
    "/translate/{direction}",
    operation_id="translateImage",
    summary="Translate an image",
    response_class=Response,
    openapi_extra={**openapi.parameters(TranslateQuery, openapi.TIMEOUT), **openapi.UPLOAD, **RESPONSE},
)
async def translate(
    request: Request,
    direction: Annotated[
        str, Path(description="horse2zebra or zebra2horse, listed by /models.", examples=["horse2zebra", "zebra2horse"])
    ],
) -> Response:
    """Returns the translated image at the size of the upload and, unless asked otherwise, in its format.

    Several images, as parts `file` of a form, come back as a ZIP file, or as multipart/mixed if Accept prefers that;
    so does one if Accept asks for it. An image in JSON, {"image": "<base64>"} with the query's parameters as further
    members, comes back in JSON.
    """
    context = context_of(request)
    settings = context.settings
    spent = stages.begin()
    deadline, query = deadline_of(request, settings.timeout_seconds), TranslateQuery.of(request)
    model, spec = _choose(context, direction, query)
    context.check_room(model, deadline)  # a refusal comes before the body is read
    context.check_limit(request)
    body = await read_in_time(request, context, deadline)
    if body.fields:
        query = TranslateQuery.of(request, body.fields)
        model, spec = _choose(context, direction, query)
    accept = header(request.scope, b"accept")
    archive = None if body.json else chosen_archive(query.format, accept, len(body.files))
    context.charge(request, len(body.files), model, deadline)
    if body.json:
        return await _translate_json(context, model, spec, query, accept, body.files.pop(), deadline, spent)
    if archive:
        return await translate_all(request, model, spec, query, archive, body.files, deadline, spent)
    translated = await translate_file(context, model, spec, query, accept, body.files.pop().chunks, deadline)
    media_type = media_type_of(query.format, accept, codecs.MEDIA_TYPES[translated.format])
    return Response(translated.file, media_type=media_type, headers=_headers(model, translated, spent))


async def _translate_json(
    context: AppContext,
    model: Model,
    spec: InputSpec,
    query: TranslateQuery,
    accept: str | None,
    file: UploadedFile,
    deadline: Deadline,
    spent: stages.Stages,
) -> Response:
    """Translates the image of a request in JSON. Its format is that of the parameter, else that of the image."""
    choose_format(None, accept, {"json": MEDIA_TYPE}, "json", "accept it, or send the image as it is")
    translated = await translate_file(context, model, spec, query, None, file.chunks, deadline)
    media_type = codecs.MEDIA_TYPES[translated.format]
    body = await context.codecs.run_in_time(
        deadline, codecs.LIGHT, json_image.write, translated.file, media_type, model.id, translated.inside
    )
    return Response(body, media_type=MEDIA_TYPE, headers=_headers(model, translated, spent))


def _headers(model: Model, translated: Translated, spent: stages.Stages) -> dict[str, str]:
    return {**VARY, "X-Model": model.id, "X-Size": translated.inside, "Server-Timing": spent.server_timing()}


def _choose(context: AppContext, direction: str, query: TranslateQuery) -> tuple[Model, InputSpec]:
    """Returns the model that the query asks for, and which images it takes. Raises Problem 404 or 422."""
    model = context.registry.find("translate", direction, query.model)
    return model, input_spec(context, model, query)
