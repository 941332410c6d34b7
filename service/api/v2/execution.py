"""Runs a request of the protocol through the queue of its model, like the requests of the other routes."""

import json
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from service.api.context import AppContext
from service.api.translation.one_image import TranslateQuery, input_spec, translate_file
from service.api.translation.upload import empty
from service.api.v2.message import Call
from service.api.v2.signature import SEED, malformed
from service.api.v2.tensors import Values
from service.card import SizeRule
from service.deadline import Deadline
from service.errors import Problem
from service.model import Model
from service.runtime.inputs import latent_inputs, seed_inputs
from service.runtime.latents import LARGEST, in_range

DIGITS = 10
"""Labels are below this."""


async def execute(context: AppContext, model: Model, call: Call, deadline: Deadline) -> Values:
    """Returns the model's output. Raises Problem as /mnist/sample and /translate/{direction} do."""
    if model.card.task == "translate" and isinstance(call.values, list):
        return await _translate_files(context, model, call, call.values, deadline)
    if call.options:
        raise malformed(f"parameters: {', '.join(call.options)[:80]}: with the input {call.chosen} there are none")
    values = cast("NDArray[Any]", call.values)
    if model.card.task == "translate":
        _check_sides(cast(SizeRule, model.card.size), values)
        inputs = values
    else:
        labels = _labels(call)
        if call.chosen == SEED:
            inputs = seed_inputs(values, labels)
        elif in_range(values):
            inputs = latent_inputs(values, labels)
        else:
            raise malformed(f"input {call.chosen}: a number is not within ±{LARGEST:,.0f}: draw them from N(0, 1)")
    return await context.infer(model, inputs, deadline)


def _labels(call: Call) -> NDArray[np.int64] | None:
    labels = cast("NDArray[np.int64] | None", call.labels)
    if labels is not None and not ((labels >= 0) & (labels < DIGITS)).all():
        raise malformed(f"labels are digits, 0 to {DIGITS - 1}")
    return labels


def _check_sides(rule: SizeRule, images: NDArray[np.uint8]) -> None:
    if any(side % rule.multiple or side < rule.minimum for side in images.shape[1:3]):
        raise malformed(
            f"images have sides of at least {rule.minimum} that are multiples of {rule.multiple}, these are "
            f"{images.shape[2]}x{images.shape[1]}: resize them, or send their files"
        )


async def _translate_files(
    context: AppContext, model: Model, call: Call, files: list[bytes], deadline: Deadline
) -> list[bytes]:
    """Translates files one after the other, each like an upload. Together they have at most the pixels of one."""
    query = _query(call)
    spec, pixels_left, translated = input_spec(context, model, query), context.settings.image_pixels, []
    for number, file in enumerate(files, start=1):
        try:
            if not file:
                raise empty()
            one = await translate_file(
                context, model, replace(spec, image_pixels=pixels_left), query, None, [file], deadline
            )
        except Problem as problem:
            if len(files) == 1:
                raise
            detail = f"file {number} of {len(files)}: {problem.detail}"
            raise Problem(problem.status, problem.kind, detail, headers=problem.headers) from problem
        pixels_left -= one.size[0] * one.size[1]
        translated.append(one.file)
    return translated


def _query(call: Call) -> TranslateQuery:
    """Reads the parameters of a translation. Raises Problem or RequestValidationError."""
    if "model" in call.options:
        raise malformed("parameters: model: the path names the model")
    for name, value in call.options.items():
        if type(value) not in (str, int):
            detail = f"{name[:40]}: expected a string or a whole number, got {json.dumps(value)[:80]}"
            raise Problem(422, "invalid-parameter", detail)
    try:
        return TranslateQuery.model_validate({name: str(value) for name, value in call.options.items()})
    except ValidationError as error:
        raise TranslateQuery.refused(error, "parameters", without="model") from error
