"""Digits as responses: a PNG, a NumPy array, or PNGs in JSON."""

import base64
import gzip
import io
import json
import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from fastapi import Request
from numpy.typing import NDArray

from service.api import schemas
from service.api.context import AppContext
from service.api.negotiation import OCTETS, VARY, accepts_gzip
from service.deadline import Deadline
from service.images import codecs

MAX_DIGITS = 1024
"""Most digits of a request."""

INLINE_DIGITS = 8
"""Up to so many digits are encoded on the event loop, in less time than handing them to a thread takes."""

STORED_PIXELS = 1000
"""An image of so few pixels fits into one packet uncompressed, and compressing it would take longer."""

Format = Literal["png", "npy", "json"]
OFFERS: dict[Format, str] = {"png": "image/png", "npy": "application/x-npy", "json": "application/json"}

SEEDED = {**VARY, "Cache-Control": "max-age=3600"}
"""Headers of a repeatable response: caches may keep it. An hour, since a newer model may become the default."""
SEEDED_FOR_KEY = {**VARY, "Cache-Control": "private, max-age=3600"}
"""The same for a client with a key: a shared cache would give the response to clients without one."""
DRAWN = {**VARY, "Cache-Control": "no-store"}
"""Headers of any other response: the next one shall have other digits."""

Seeds = NDArray[np.uint64] | Sequence[int | None]
"""Seed of each digit; None for a digit that has none."""

PNG: schemas.Part = {
    "image/png": {"schema": schemas.BINARY},
    # some generators of clients know no image type, and would take the next type that they know, which is JSON
    OCTETS: {"schema": {**schemas.BINARY, "description": "The PNG, for clients that accept only this type"}},
}
"""Content of a response that is a PNG."""


def array_content(axis: str) -> schemas.Part:
    """Returns the content of a response that is an array of digits along `axis`."""
    description = f"uint8 ({axis}, 28, 28), from 0 for paper to 255 for ink"
    return {OFFERS["npy"]: {"schema": {**schemas.BINARY, "description": description}}}


def seeded(request: Request) -> dict[str, str]:
    """Returns the headers of a repeatable response."""
    return SEEDED_FOR_KEY if "key" in request.scope["state"] else SEEDED


async def encode(
    request: Request,
    context: AppContext,
    deadline: Deadline,
    kind: Format,
    digits: NDArray[np.uint8],
    seeds: Seeds,
    columns: int | None,
) -> tuple[bytes, dict[str, str]]:
    """Encodes digits, uint8 (n, 28, 28), in the format `kind`. Returns the body and headers that describe it.

    `columns`: digits per row of the PNG; None makes it about square. Raises Problem 504.
    """
    if max(len(digits), columns or 0) <= INLINE_DIGITS:
        return context.codecs.encode_inline(kind, _encode, digits, seeds, kind, columns), {}
    if kind == "json" and accepts_gzip(request.scope):
        body = await context.codecs.encode(deadline, kind, _encode_packed, digits, seeds)
        return body, {"Content-Encoding": "gzip", "Vary": "Accept, Accept-Encoding"}
    return await context.codecs.encode(deadline, kind, _encode, digits, seeds, kind, columns), {}


def _encode_packed(digits: NDArray[np.uint8], seeds: Seeds) -> bytes:
    return gzip.compress(_encode(digits, seeds, "json", None), compresslevel=1, mtime=0)


def _encode(digits: NDArray[np.uint8], seeds: Seeds, kind: Format, columns: int | None) -> bytes:
    if kind == "npy":
        buffer = io.BytesIO()
        np.save(buffer, digits)
        return buffer.getvalue()
    if kind == "json":
        pngs = [base64.b64encode(codecs.encode_grey(digit)).decode() for digit in digits]
        items: list[dict[str, Any]] = [
            {"png": png} if seed is None else {"seed": str(seed), "png": png}
            for seed, png in zip(seeds, pngs, strict=True)
        ]
        return json.dumps({"digits": items}).encode()
    sheet = codecs.tile(digits, columns or math.ceil(math.sqrt(len(digits))))
    return codecs.encode_grey(sheet, level=0 if sheet.size <= STORED_PIXELS else 1)
