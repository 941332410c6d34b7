"""POST /v2/models/{name}/infer: tensors through a model."""

from fastapi import APIRouter, Request, Response

from service.api.body import arriving, check_json_size, read_beside
from service.api.context import AppContext, context_of
from service.api.params import deadline_of, header
from service.api.v2.documented import ERRORS, INFERENCE, Name, Version
from service.api.v2.errors import protocol_errors
from service.api.v2.execution import execute
from service.api.v2.message import LENGTH_HEADER, Call, read_call, write_response
from service.api.v2.signature import Signature, malformed, signature_of
from service.api.v2.tensors import Values
from service.deadline import Deadline
from service.images.codecs import LIGHT, Weight
from service.telemetry import stages

router = APIRouter(tags=["v2"], responses=ERRORS)

_LENGTH_KEY = LENGTH_HEADER.lower().encode()

INLINE_ELEMENTS, LIGHT_ELEMENTS = 4096, 32_768
"""Elements of a response in JSON that are written on the event loop, and in a thread; more go to a process."""
INLINE_BYTES = 2**18
"""Bytes of a binary response that are joined on the event loop; more go to a thread."""
FILE_BYTES = 32
"""Bytes of a file that take as long, in base64, as a number."""


@router.post(
    "/v2/models/{name}/infer",
    operation_id="inferModel",
    summary="Run a model",
    response_class=Response,
    openapi_extra=INFERENCE,
)
@protocol_errors
async def infer(request: Request, name: Name) -> Response:
    """Runs tensors through the newest version of a model."""
    return await _infer(request, name, None)


@router.post(
    "/v2/models/{name}/versions/{version}/infer",
    operation_id="inferVersion",
    summary="Run a model's version",
    response_class=Response,
    openapi_extra=INFERENCE,
)
@protocol_errors
async def infer_version(request: Request, name: Name, version: Version) -> Response:
    """Runs tensors through one version of a model."""
    return await _infer(request, name, version)


async def _infer(request: Request, name: str, version: str | None) -> Response:
    context, spent = context_of(request), stages.begin()
    deadline = deadline_of(request, context.settings.timeout_seconds)
    model = context.registry.version(name, version)
    context.check_room(model, deadline)  # a refusal comes before the body is read
    context.check_limit(request)
    signature = signature_of(model.card)
    call = await _read(request, context, signature, deadline)
    context.charge(request, len(call.values), model, deadline)
    values = await execute(context, model, call, deadline)
    head = {"model_name": model.card.name, "model_version": model.card.version}
    if call.id is not None:
        head["id"] = call.id
    output = signature.outputs[call.chosen]
    response = head, output, values, call.binary
    elements = _elements(values)
    if _bytes(values) <= INLINE_BYTES if call.binary else elements <= INLINE_ELEMENTS:
        body, length = write_response(*response)
    else:
        weight = LIGHT if call.binary else Weight(elements, elements <= LIGHT_ELEMENTS)
        body, length = await context.codecs.run_in_time(deadline, weight, write_response, *response)
    headers = {"X-Model": model.id, "Server-Timing": spent.server_timing()}
    if length is None:
        return Response(body, media_type="application/json", headers=headers)
    return Response(body, media_type="application/octet-stream", headers={**headers, LENGTH_HEADER: str(length)})


def _bytes(values: Values) -> int:
    return sum(map(len, values)) if isinstance(values, list) else values.nbytes


def _elements(values: Values) -> int:
    """Returns the elements of a tensor, those of files in the time that they take as JSON."""
    return _bytes(values) // FILE_BYTES if isinstance(values, list) else values.size


async def _read(request: Request, context: AppContext, signature: Signature, deadline: Deadline) -> Call:
    """Reads the body where it does not stop other requests. Raises Problem 400, 408, 413, 415, 422 or 503."""
    announced = header(request.scope, _LENGTH_KEY)
    if announced is not None and not (announced.isascii() and announced.isdigit() and len(announced) < 20):
        raise malformed(f"{LENGTH_HEADER} is the number of bytes of the JSON, got {announced[:40]!r}")
    json_bytes = None if announced is None else int(announced)
    async with arriving(request, deadline):
        chunks = [chunk async for chunk in request.stream()]
    size = sum(map(len, chunks))
    of_json = size if json_bytes is None else min(json_bytes, size)
    check_json_size(of_json, "send tensors in binary form")
    work = read_call, chunks, json_bytes, signature, context.settings.model_pixels
    return await read_beside(context, deadline, size, of_json, *work)
