"""A translation: what its parameters are, and how an image file goes through a model."""

import contextlib
from collections.abc import Iterable
from functools import partial
from typing import Annotated, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import WithJsonSchema

from service.api.context import AppContext
from service.api.negotiation import choose_format
from service.api.params import Query
from service.card import SizeRule
from service.deadline import Deadline
from service.errors import Problem
from service.images import codecs, detail
from service.images.codec_pool import Upload
from service.images.preprocess import MAXIMUM_SIZE, MINIMUM_SIDE, InputSpec, Size
from service.images.tiles import Tiling
from service.model import Model
from service.runtime.cpu import PROVIDER as CPU

SIZE_PATTERN = "^(native|6[4-9]|[7-9][0-9]|[1-9][0-9]{2}|10[01][0-9]|102[0-4])$"
"""The word native, or a number from MINIMUM_SIDE to MAXIMUM_SIZE."""


class TranslateQuery(Query):
    """The query of /translate/{direction}."""

    # described as a number or a word, it would be sent by some generated clients as the name of its type
    size: Annotated[str | None, WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN})] = None
    """Longest side inside the model (64 to 1024), or 'native'. The response always has the size of the upload.
    Default: 256 for images whose sides are at most 256, for others 384 on the CPU and 512 on a GPU."""
    detail: Literal["on", "off"] = "on"
    """'on' adds the model's change, enlarged, to the upload, which keeps its fine detail. 'off' enlarges the model's
    image. Both are the same where the upload has the size inside the model."""
    format: Literal["png", "jpeg", "webp"] | None = None
    """Format of the response; takes precedence over the Accept header. Default: the format of the upload."""


class Translated(NamedTuple):
    """A translated image."""

    file: bytes
    format: codecs.Format
    size: tuple[int, int]
    """Width and height."""
    model_size: tuple[int, int]
    """Width and height inside the model."""

    @property
    def inside(self) -> str:
        """Width x height inside the model, as in the header X-Size."""
        return "{}x{}".format(*self.model_size)


async def translate_file(
    context: AppContext,
    model: Model,
    spec: InputSpec,
    query: TranslateQuery,
    accept: str | None,
    chunks: Iterable[bytes],
    deadline: Deadline,
) -> Translated:
    """Translates one image file, through all queues and within all limits.

    `accept`: the Accept header, which chooses the format where `query` does not. Raises Problem.
    """
    settings = context.settings
    async with contextlib.AsyncExitStack() as turn:
        if spec.tiled:
            one_at_a_time = context.codecs.turn(chunks, settings.model_pixels, deadline)
            chunks = [await turn.enter_async_context(one_at_a_time)]
        with context.reserve(model, deadline):
            upload = await context.codecs.decode(chunks, spec, deadline)
        del chunks
        image, kept = upload.image, _kept(upload, query)
        del upload  # frees the file, unless it is kept
        kind = choose_format(query.format, accept, codecs.MEDIA_TYPES, image.format)
        codecs.check_side(image.size, kind)
        if spec.tiled:
            pixels = await _infer_in_tiles(context, model, image.inputs, deadline)
        else:
            (pixels,) = await context.infer(model, image.inputs, deadline, reserved=True)
        encode = partial(context.codecs.encode, deadline, kind)
        if kept is None:
            weight = codecs.Weight.of_size(image.size)
            body = await encode(codecs.from_model, pixels, image.size, kind, weight=weight)
        else:
            (before,), limit = image.inputs, settings.image_pixels
            body = await encode(detail.render, kept.body, before, pixels, kind, limit, weight=kept.weight)
    return Translated(body, kind, image.size, image.model_size)


def input_spec(context: AppContext, model: Model, query: TranslateQuery) -> InputSpec:
    """Returns which images a model takes for a query. Raises Problem 422."""
    settings, rule, size = context.settings, cast(SizeRule, model.card.size), _parse_size(query.size)
    return InputSpec(size, rule, settings.image_pixels, settings.model_pixels, model.provider != CPU)


async def _infer_in_tiles(
    context: AppContext, model: Model, image: NDArray[np.uint8], deadline: Deadline
) -> NDArray[np.uint8]:
    """Returns what the model makes of an image (1, height, width, 3), row by row of tiles, as (height, width, 3)."""
    tiling = Tiling(image, cast(SizeRule, model.card.size))
    for row in tiling.rows:
        tiles = await context.codecs.run(tiling.cut, row)  # copying takes milliseconds
        outputs = await context.infer(model, tiles, deadline, reserved=True)
        await context.codecs.run(tiling.put, row, outputs)
    return tiling.output


def _kept(upload: Upload, query: TranslateQuery) -> Upload | None:
    """Returns the upload if its detail goes into the response."""
    return upload if query.detail == "on" and upload.image.size != upload.image.model_size else None


def _parse_size(text: str | None) -> Size | None:
    if text is None:
        return None
    if text == "native":
        return "native"
    if text.isascii() and text.isdigit() and MINIMUM_SIDE <= int(text[:5]) <= MAXIMUM_SIZE and len(text) < 5:
        return int(text)
    raise Problem(
        422, "invalid-parameter", f"size: expected 'native' or {MINIMUM_SIDE} to {MAXIMUM_SIZE}, got {text[:40]!r}"
    )
