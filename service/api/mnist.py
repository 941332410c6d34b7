"""GET /mnist/sample: handwritten digits that nobody wrote."""

import base64
import io
import json
import math
import secrets
import time
from typing import Any, Literal

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray
from pydantic import Field

from service.api import openapi
from service.api.context import state_of
from service.api.negotiation import choose_format
from service.api.params import Deadline, Query, header
from service.images import codecs
from service.images.stages import note_codec
from service.runtime.latents import SEED_RANGE, consecutive_seeds

router = APIRouter(tags=["mnist"])

RENDERED_AT_ONCE = 8
"""So many digits are encoded sooner on the event loop than a thread could begin to."""

STORED_PIXELS = 1000
"""A picture of so few is one packet even as it is, sent sooner than it is compressed."""

OFFERS = {"png": "image/png", "npy": "application/x-npy", "json": "application/json"}


class SampleQuery(Query):
    """What /mnist/sample can be asked for."""

    count: int = Field(1, ge=1, le=1024)
    """Number of digits."""
    seed: int | None = Field(None, ge=0, lt=SEED_RANGE)
    """Of the first digit; digit i has seed + i mod 2^64."""
    format: Literal["png", "npy", "json"] | None = None
    """Wins over the Accept header."""
    digit: int | None = Field(None, ge=0, le=9)
    """Only this digit."""
    columns: int | None = Field(None, ge=1, le=1024)
    """Digits in a row of the PNG."""


@router.get(
    "/mnist/sample",
    response_class=Response,
    openapi_extra={**SampleQuery.documented(), "responses": openapi.DIGITS},
)
async def sample(request: Request) -> Response:
    """Digits as one PNG (28x28 each, side by side, ink white), a NumPy array (count, 28, 28) or JSON with PNGs."""
    shared = state_of(request)
    deadline, query = Deadline.of(request, shared.settings.timeout_seconds), SampleQuery.of(request)
    model = shared.registry.find("sample", None, query.model, labelled=query.digit is not None)
    kind = choose_format(query.format, header(request.scope, b"accept"), OFFERS, "png")
    seeds = consecutive_seeds(secrets.randbits(64) if query.seed is None else query.seed, query.count)
    rows = seeds[:, None]
    if query.digit is not None:
        rows = np.column_stack([seeds, np.full(query.count, query.digit, np.uint64)])
    digits = await shared.infer(model, rows, deadline)

    def render() -> bytes:
        start = time.perf_counter()
        body = _render(digits, seeds, kind, query.columns)
        note_codec(shared.metrics, "encode", kind, start)
        return body

    at_once = max(query.count, query.columns or 0) <= RENDERED_AT_ONCE
    body = render() if at_once else await shared.in_codec_thread(deadline, render)
    return Response(body, media_type=OFFERS[kind], headers={"X-Seed": str(seeds[0]), "X-Model": model.id})


def _render(digits: NDArray[np.uint8], seeds: NDArray[np.uint64], kind: str, columns: int | None) -> bytes:
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
