"""GET /mnist/sample: handwritten digits that nobody wrote."""

import base64
import io
import json
import math
import secrets
import time
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Header, Query, Response
from numpy.typing import NDArray
from PIL import Image

from service import codecs
from service.latents import SEED_RANGE, consecutive_seeds
from service.negotiation import choose_format
from service.stages import note_codec
from service.state import Deadline, Shared

router = APIRouter(tags=["mnist"])

RENDERED_AT_ONCE = 8
"""So many digits are encoded sooner on the event loop than a thread could begin to."""

OFFERS = {"png": "image/png", "npy": "application/x-npy", "json": "application/json"}


@router.get("/mnist/sample", response_class=Response)
async def sample(
    shared: Shared,
    deadline: Deadline,
    count: Annotated[int, Query(ge=1, le=1024, description="Number of digits.")] = 1,
    seed: Annotated[
        int | None, Query(ge=0, lt=SEED_RANGE, description="Of the first digit; digit i has seed + i mod 2^64.")
    ] = None,
    format: Annotated[Literal["png", "npy", "json"] | None, Query(description="Wins over the Accept header.")] = None,
    digit: Annotated[int | None, Query(ge=0, le=9, description="Only this digit.")] = None,
    columns: Annotated[int | None, Query(ge=1, le=1024, description="Digits in a row of the PNG.")] = None,
    model: Annotated[str | None, Query(description="A model of /models instead of the default.")] = None,
    accept: Annotated[str | None, Header()] = None,
) -> Response:
    """Digits as one PNG (28x28 each, side by side, ink white), a NumPy array (count, 28, 28) or JSON with PNGs."""
    chosen = shared.registry.find("sample", None, model, labelled=digit is not None)
    kind = choose_format(format, accept, OFFERS, "png")
    seeds = consecutive_seeds(secrets.randbits(64) if seed is None else seed, count)
    rows = seeds[:, None] if digit is None else np.column_stack([seeds, np.full(count, digit, np.uint64)])
    digits = await shared.infer(chosen, rows, deadline)

    def render() -> bytes:
        start = time.perf_counter()
        body = _render(digits, seeds, kind, columns)
        note_codec(shared.metrics, "encode", kind, start)
        return body

    body = render() if count <= RENDERED_AT_ONCE else await shared.in_codec_thread(render)
    return Response(body, media_type=OFFERS[kind], headers={"X-Seed": str(seeds[0]), "X-Model": chosen.id})


def _render(digits: NDArray[np.uint8], seeds: NDArray[np.uint64], kind: str, columns: int | None) -> bytes:
    if kind == "npy":
        buffer = io.BytesIO()
        np.save(buffer, digits)
        return buffer.getvalue()
    if kind == "json":
        pngs = [base64.b64encode(codecs.encode(Image.fromarray(digit), "png")).decode() for digit in digits]
        items: list[dict[str, Any]] = [{"seed": str(s), "png": png} for s, png in zip(seeds, pngs, strict=True)]
        return json.dumps({"digits": items}).encode()
    return codecs.encode(codecs.tile(digits, columns or math.ceil(math.sqrt(len(digits)))), "png")
