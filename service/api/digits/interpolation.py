"""GET /mnist/interpolate: digits on the way from one seed to another."""

import numpy as np
from fastapi import APIRouter, Request, Response
from pydantic import Field

from service.api import openapi, schemas
from service.api.caching import etag_of, not_modified
from service.api.context import context_of
from service.api.digits.response import MAX_DIGITS, OFFERS, PNG, Format, array_content, encode, seeded
from service.api.digits.seed import Seed
from service.api.negotiation import choose_format, media_type_of
from service.api.params import Query, deadline_of, header
from service.runtime.inputs import latent_inputs
from service.runtime.latents import interpolated, latents
from service.telemetry import stages

router = APIRouter(tags=["mnist"])


class InterpolateQuery(Query):
    """The query of /mnist/interpolate."""

    first: Seed = Field(alias="from")
    """Seed of the first digit, in decimal digits, below 2^64."""
    last: Seed = Field(alias="to")
    """Seed of the last digit, likewise."""
    steps: int = Field(8, ge=2, le=MAX_DIGITS)
    """Number of digits, the first and the last included."""
    format: Format | None = None
    """Format of the response; takes precedence over the Accept header."""
    digit: int | None = Field(None, ge=0, le=9)
    """Show only this digit, from a model with labels."""


RESPONSE = openapi.response(
    "The digits; X-Seed is the seed of the first one. From seed 7 to seed 8, for example: "
    "![eight digits between two](mnist/interpolate?from=7&to=8)",
    {**PNG, **array_content("steps"), "application/json": {"schema": schemas.shared("ChosenDigits")}},
    *("Cache-Control", "ETag", "RateLimit", "RateLimit-Policy", "Server-Timing", "Vary", "X-Model", "X-Seed"),
    not_modified=True,
)


@router.get(
    "/mnist/interpolate",
    operation_id="interpolateDigits",
    summary="Interpolate between two digits",
    response_class=Response,
    openapi_extra={**openapi.parameters(InterpolateQuery, openapi.TIMEOUT, openapi.IF_NONE_MATCH), **RESPONSE},
)
async def interpolate(request: Request) -> Response:
    """Returns digits whose latent vectors lie on the arc between those of two seeds, as a PNG in one row, as a NumPy
    array (steps, 28, 28), or as PNGs in JSON.
    """
    context = context_of(request)
    deadline, query = deadline_of(request, context.settings.timeout_seconds), InterpolateQuery.of(request)
    model = context.registry.find("sample", None, query.model, labelled=query.digit is not None)
    accept = header(request.scope, b"accept")
    kind = choose_format(query.format, accept, OFFERS, "png")
    spent = stages.begin()
    parts = "interpolation", model.id, model.artefact.sha256, kind, query.first, query.last, query.steps, query.digit
    headers = {**seeded(request), "ETag": etag_of(*parts)}
    if known := not_modified(request.scope, headers):
        return known
    context.charge(request, query.steps, model, deadline)
    ends = latents(np.array([query.first, query.last], np.uint64), model.card.latent or 0)
    labels = None if query.digit is None else np.full(query.steps, query.digit)
    vectors = interpolated(ends, query.steps)
    digits = await context.infer(model, latent_inputs(vectors, labels), deadline)
    seeds = [query.first, *[None] * (query.steps - 2), query.last]
    body, described = await encode(request, context, deadline, kind, digits, seeds, query.steps)
    headers = {
        **headers,
        **described,
        "X-Seed": str(query.first),
        "X-Model": model.id,
        "Server-Timing": spent.server_timing(),
    }
    return Response(body, media_type=media_type_of(query.format, accept, OFFERS[kind]), headers=headers)
