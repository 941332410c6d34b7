"""GET /mnist/sample: handwritten digits from the GAN."""

import secrets

import numpy as np
from fastapi import APIRouter, Request, Response
from pydantic import Field

from service.api import openapi, schemas
from service.api.caching import etag_of, not_modified
from service.api.context import context_of
from service.api.digits.response import (
    DRAWN,
    MAX_DIGITS,
    OFFERS,
    PNG,
    Format,
    array_content,
    encode,
    seeded,
)
from service.api.digits.seed import Seed
from service.api.negotiation import choose_format, media_type_of
from service.api.params import Query, deadline_of, header
from service.runtime.inputs import seed_inputs
from service.runtime.latents import consecutive_seeds
from service.telemetry import stages

router = APIRouter(tags=["mnist"])

DRAWN_SEEDS = 2**53 - 1024
"""Drawn seeds are below this, so that the seeds of all digits of a response are exact as JavaScript numbers."""


class SampleQuery(Query):
    """The query of /mnist/sample."""

    count: int = Field(1, ge=1, le=MAX_DIGITS)
    """Number of digits."""
    seed: Seed | None = None
    """Seed of the first digit, in decimal digits, below 2^64; digit i has seed + i modulo 2^64. By default a random one
    below 2^53."""
    format: Format | None = None
    """Format of the response; takes precedence over the Accept header."""
    digit: int | None = Field(None, ge=0, le=9)
    """Sample only this digit, from a model with labels."""
    columns: int | None = Field(None, ge=1, le=MAX_DIGITS)
    """Digits per row of the PNG. By default the PNG is about square."""


EXAMPLE = {
    "digits": [
        {
            "seed": "7",
            "png": "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAAAs0lEQVR4AWNgoA1gJMVYsT1ve1lxaGCUfP+znQmHJNfB"
            "vz+jcMgxRLz791AahyT3y7+/LHDIMej++ncLl3NYtv//V4RLo8CX/294cUgyVv35txxXqLAc+vsrAJdGgz//b7HjkGT2"
            "/PdvJQt2SSb/b/+eSmCXY+Db/+93Jo5gZYz/9v+JCi6Nx//99MbhD5Ztv/5fEcehUef7v99lzDgkS379zeHAIccw4/c7"
            "VRw24tJCE3EArJ49U/oOTD4AAAAASUVORK5CYII=",
        }
    ]
}
"""Response in JSON to seed 7 from the model mnist/3."""

RESPONSE = openapi.response(
    "The digits; X-Seed and X-Model reproduce them. Those of seed 7 are, for example: "
    "![digits of seed 7](mnist/sample?seed=7&count=16&columns=8)",
    {
        **PNG,
        **array_content("count"),
        "application/json": {
            "schema": schemas.shared("Digits"),
            "example": EXAMPLE,
        },
    },
    *("Cache-Control", "ETag", "RateLimit", "RateLimit-Policy", "Server-Timing", "Vary", "X-Model", "X-Seed"),
    not_modified=True,
)


@router.get(
    "/mnist/sample",
    operation_id="sampleDigits",
    summary="Sample digits",
    response_class=Response,
    openapi_extra={**openapi.parameters(SampleQuery, openapi.TIMEOUT, openapi.IF_NONE_MATCH), **RESPONSE},
)
async def sample(request: Request) -> Response:
    """Returns digits as one PNG (28x28 each, white on black), as a NumPy array (count, 28, 28), or as PNGs in JSON."""
    context = context_of(request)
    deadline, query = deadline_of(request, context.settings.timeout_seconds), SampleQuery.of(request)
    model = context.registry.find("sample", None, query.model, labelled=query.digit is not None)
    accept = header(request.scope, b"accept")
    kind = choose_format(query.format, accept, OFFERS, "png")
    spent = stages.begin()
    headers = DRAWN
    if query.seed is not None:
        parts = model.id, model.artefact.sha256, kind, query.seed, query.count, query.digit, query.columns
        headers = {**seeded(request), "ETag": etag_of(*parts)}
        if known := not_modified(request.scope, headers):
            return known
    context.charge(request, query.count, model, deadline)
    seeds = consecutive_seeds(secrets.randbelow(DRAWN_SEEDS) if query.seed is None else query.seed, query.count)
    labels = None if query.digit is None else np.full(query.count, query.digit)
    digits = await context.infer(model, seed_inputs(seeds, labels), deadline)
    body, described = await encode(request, context, deadline, kind, digits, seeds, query.columns)
    headers = {
        **headers,
        **described,
        "X-Seed": str(seeds[0]),
        "X-Model": model.id,
        "Server-Timing": spent.server_timing(),
    }
    return Response(body, media_type=media_type_of(query.format, accept, OFFERS[kind]), headers=headers)
