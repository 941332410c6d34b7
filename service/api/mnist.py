"""GET /mnist/sample: handwritten digits from the GAN."""

import base64
import gzip
import io
import json
import math
import secrets
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray
from pydantic import Field, WithJsonSchema

from service.api import openapi
from service.api.caching import etag_of, not_modified
from service.api.context import context_of
from service.api.negotiation import OCTETS, VARY, accepts_gzip, choose_format, media_type_of
from service.api.params import Query, deadline_of, header
from service.images import codecs
from service.runtime.inputs import seed_inputs
from service.runtime.latents import SEED_RANGE, consecutive_seeds
from service.telemetry import stages

router = APIRouter(tags=["mnist"])

INLINE_DIGITS = 8
"""Up to so many digits are encoded on the event loop, in less time than handing them to a thread takes."""

STORED_PIXELS = 1000
"""An image of so few pixels fits into one packet uncompressed, and compressing it would take longer."""

DRAWN_SEEDS = 2**53 - 1024
"""Drawn seeds are below this, so that the seeds of all digits of a response are exact as JavaScript numbers."""

SEEDED = {**VARY, "Cache-Control": "max-age=3600"}
"""Headers of a repeatable response: caches may keep it. An hour, since a newer model may become the default."""
DRAWN = {**VARY, "Cache-Control": "no-store"}
"""Headers of any other response: the next one shall have other digits."""

SEED_PATTERN = f"^({openapi.decimal_pattern(SEED_RANGE - 1)})$"
"""What a seed in decimal digits looks like."""

OFFERS = {"png": "image/png", "npy": "application/x-npy", "json": "application/json"}


class SampleQuery(Query):
    """The query of /mnist/sample."""

    count: int = Field(1, ge=1, le=1024)
    """Number of digits."""
    # a string, since JavaScript has no exact numbers above 2^53
    seed: Annotated[int | None, WithJsonSchema({"type": "string", "pattern": SEED_PATTERN})] = Field(
        None, ge=0, lt=SEED_RANGE
    )
    """Seed of the first digit, in decimal digits, below 2^64; digit i has seed + i modulo 2^64. By default a random one
    below 2^53."""
    format: Literal["png", "npy", "json"] | None = None
    """Format of the response; takes precedence over the Accept header."""
    digit: int | None = Field(None, ge=0, le=9)
    """Sample only this digit, from a model with labels."""
    columns: int | None = Field(None, ge=1, le=1024)
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
        "image/png": {"schema": openapi.BINARY},
        # some generators of clients know no image type, and would take the next type that they know, which is JSON
        OCTETS: {"schema": {**openapi.BINARY, "description": "The PNG, for clients that accept only this type"}},
        "application/x-npy": {
            "schema": {**openapi.BINARY, "description": "uint8 (count, 28, 28), from 0 for paper to 255 for ink"}
        },
        "application/json": {
            "schema": openapi.shared("Digits"),
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
        headers = {**SEEDED, "ETag": etag_of(*parts)}
        if known := not_modified(request.scope, headers):
            return known
    context.charge(request, query.count)
    seeds = consecutive_seeds(secrets.randbelow(DRAWN_SEEDS) if query.seed is None else query.seed, query.count)
    labels = None if query.digit is None else np.full(query.count, query.digit)
    digits = await context.infer(model, seed_inputs(seeds, labels), deadline)
    if max(query.count, query.columns or 0) <= INLINE_DIGITS:
        body = context.codecs.encode_inline(kind, _encode, digits, seeds, kind, query.columns)
    elif kind == "json" and accepts_gzip(request.scope):
        body = await context.codecs.encode(deadline, kind, _encode_packed, digits, seeds)
        headers = {**headers, "Content-Encoding": "gzip", "Vary": "Accept, Accept-Encoding"}
    else:
        body = await context.codecs.encode(deadline, kind, _encode, digits, seeds, kind, query.columns)
    headers = {
        **headers,
        "X-Seed": str(seeds[0]),
        "X-Model": model.id,
        "Server-Timing": spent.server_timing(),
    }
    return Response(body, media_type=media_type_of(query.format, accept, OFFERS[kind]), headers=headers)


def _encode_packed(digits: NDArray[np.uint8], seeds: NDArray[np.uint64]) -> bytes:
    return gzip.compress(_encode(digits, seeds, "json", None), compresslevel=1, mtime=0)


def _encode(digits: NDArray[np.uint8], seeds: NDArray[np.uint64], kind: str, columns: int | None) -> bytes:
    if kind == "npy":
        buffer = io.BytesIO()
        np.save(buffer, digits)
        return buffer.getvalue()
    if kind == "json":
        pngs = [base64.b64encode(codecs.encode_grey(digit)).decode() for digit in digits]
        items: list[dict[str, Any]] = [{"seed": str(s), "png": png} for s, png in zip(seeds, pngs, strict=True)]
        return json.dumps({"digits": items}).encode()
    sheet = codecs.tile(digits, columns or math.ceil(math.sqrt(len(digits))))
    return codecs.encode_grey(sheet, level=0 if sheet.size <= STORED_PIXELS else 1)
