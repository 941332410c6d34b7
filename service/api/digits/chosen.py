"""POST /mnist/sample: handwritten digits of seeds, or of latent vectors, that the client lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from service.api import openapi, schemas
from service.api.body import MEDIA_TYPE, arriving, check_json_size, content_type, read_beside, refused
from service.api.context import context_of
from service.api.digits.response import MAX_DIGITS, OFFERS, PNG, Format, Seeds, array_content, encode
from service.api.digits.seed import Seed
from service.api.negotiation import VARY, choose_format, media_type_of
from service.api.params import Query, deadline_of, header
from service.card import ModelCard
from service.errors import Problem
from service.runtime.inputs import latent_inputs, seed_inputs
from service.runtime.latents import LARGEST, in_range
from service.telemetry import stages

router = APIRouter(tags=["mnist"])


class ChosenQuery(Query):
    """The query of POST /mnist/sample."""

    format: Format | None = None
    """Format of the response; takes precedence over the Accept header."""
    columns: int | None = Field(None, ge=1, le=MAX_DIGITS)
    """Digits per row of the PNG. By default the PNG is about square."""


# no long list of errors is made: the first is told
_Items = Field(max_length=MAX_DIGITS, fail_fast=True)


class _Body(BaseModel):
    """What the JSON holds; `schemas.SCHEMAS` describes it. Some clients send empty lists for what is unset."""

    model_config = ConfigDict(extra="forbid", strict=True)

    seeds: Annotated[list[Seed], _Items] = []
    latents: Annotated[list[Annotated[list[FiniteFloat], Field(fail_fast=True)]], _Items] = []
    digits: Annotated[list[Annotated[int, Field(ge=0, le=9)]], _Items] = []


@dataclass(frozen=True)
class Choice:
    """The digits that a request lists."""

    items: NDArray[Any]
    """Their seeds, uint64 (n,), or their latent vectors, float32 (n, length)."""
    labels: NDArray[np.int64] | None
    """What each shall show (n,), if the request says that."""

    @property
    def seeds(self) -> Seeds:
        """Seed of each digit, or None for each."""
        return self.items if self.items.ndim == 1 else [None] * len(self.items)

    def inputs(self, card: ModelCard) -> NDArray[Any]:
        """Returns the inputs of the model's queue. Raises Problem 422 for vectors of another length than it takes."""
        if self.items.ndim == 1:
            return seed_inputs(self.items, self.labels)
        length = self.items.shape[1]
        if length != card.latent:
            raise _wrong(f"latents: a latent vector of {card.name} has {card.latent} numbers, these have {length}")
        return latent_inputs(self.items, self.labels)


def read_choice(chunks: Sequence[bytes]) -> Choice:
    """Reads the JSON of a request. Raises Problem 400 or 422."""
    try:
        body = _Body.model_validate_json(b"".join(chunks))
    except ValidationError as error:
        raise refused(error) from None
    if bool(body.seeds) == bool(body.latents):
        raise _wrong("send either seeds or latents" + (", not both" if body.seeds else ""))
    items = _vectors(body.latents) if body.latents else np.array(body.seeds, np.uint64)
    labels = None
    if body.digits:
        if len(body.digits) not in (1, len(items)):
            raise _wrong(f"digits: send one for all, or one for each of the {len(items)}, not {len(body.digits)}")
        labels = np.resize(np.array(body.digits, np.int64), len(items))
    return Choice(items, labels)


def _vectors(rows: list[list[float]]) -> NDArray[np.float32]:
    if len(set(map(len, rows))) > 1:
        raise _wrong("latents: the vectors have different lengths")
    with np.errstate(over="ignore"):  # an infinite result is refused
        vectors = np.array(rows, np.float32)
    if not in_range(vectors):
        raise _wrong(f"latents: a number is not within ±{LARGEST:,.0f}: draw them from N(0, 1)")
    return vectors


def _wrong(detail: str) -> Problem:
    return Problem(422, "invalid-parameter", detail)


BODY: schemas.Part = {
    "requestBody": {
        "description": "Seeds or latent vectors, at most 1024",
        "required": True,
        "content": {
            MEDIA_TYPE: {
                "schema": schemas.shared("DigitChoice"),
                "example": {"seeds": ["7", "18446744073709551615"]},
            }
        },
    }
}
RESPONSE = openapi.response(
    "The digits, in the order of the request",
    {**PNG, **array_content("n"), "application/json": {"schema": schemas.shared("ChosenDigits")}},
    *("RateLimit", "RateLimit-Policy", "Server-Timing", "Vary", "X-Model"),
)


@router.post(
    "/mnist/sample",
    operation_id="sampleChosenDigits",
    summary="Sample digits of seeds or latent vectors",
    response_class=Response,
    openapi_extra={**openapi.parameters(ChosenQuery, openapi.TIMEOUT), **BODY, **RESPONSE},
)
async def sample_chosen(request: Request) -> Response:
    """Returns the digits of a list of seeds, or of latent vectors, in the formats of GET /mnist/sample."""
    context = context_of(request)
    deadline, query = deadline_of(request, context.settings.timeout_seconds), ChosenQuery.of(request)
    accept = header(request.scope, b"accept")
    kind = choose_format(query.format, accept, OFFERS, "png")
    spent = stages.begin()
    media_type = content_type(request)
    if media_type != MEDIA_TYPE:
        detail = f'Content-Type {media_type[:80]!r}: send {{"seeds": ["7"]}} with Content-Type: {MEDIA_TYPE}'
        raise Problem(415, "unsupported-media-type", detail)
    context.check_limit(request)  # a refusal comes before the body is read
    async with arriving(request, deadline):
        chunks = [chunk async for chunk in request.stream()]
    size = sum(map(len, chunks))
    check_json_size(size, "send fewer digits, or fewer decimals")
    choice = await read_beside(context, deadline, size, size, read_choice, chunks)
    model = context.registry.find("sample", None, query.model, labelled=choice.labels is not None)
    inputs = choice.inputs(model.card)
    context.charge(request, len(choice.items), model, deadline)
    digits = await context.infer(model, inputs, deadline)
    body, described = await encode(request, context, deadline, kind, digits, choice.seeds, query.columns)
    headers = {**VARY, **described, "X-Model": model.id, "Server-Timing": spent.server_timing()}
    return Response(body, media_type=media_type_of(query.format, accept, OFFERS[kind]), headers=headers)
