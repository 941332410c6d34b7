"""From an upload's bytes to a model's inputs. Blocking: runs in a codec thread or process."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.card import SizeRule
from service.errors import Problem
from service.images import codecs

Size = int | Literal["native"]
"""Longest side of an image inside a model, in pixels, or the image's own size."""

SNAP = 32
"""Sides inside a model are multiples of this: photographs then have about a dozen shapes and can share batches."""
MINIMUM_SIDE = 64
"""Smallest side inside a model: it is halved twice, and reflection padding needs it to be wider than the padding."""
DEFAULT_SIZE = 256
MAXIMUM_SIZE = 1024


@dataclass(frozen=True)
class InputSpec:
    """The size that a request asks for, and the sizes that its model and the settings allow."""

    size: Size
    rule: SizeRule
    image_pixels: int
    """Largest upload."""
    model_pixels: int
    """Largest image inside the model."""


@dataclass(frozen=True)
class Prepared:
    """A decoded upload."""

    inputs: NDArray[np.uint8]
    """The model's inputs (1, height, width, 3), 0 to 255."""
    size: tuple[int, int]
    """Width and height of the upload."""
    format: codecs.Format
    """Format of the upload."""


def prepare(body: bytes, spec: InputSpec) -> Prepared:
    """Decodes an upload and resizes it. Raises Problem for an image that cannot be decoded or is too large.

    This is one step so that no image of full size is kept.
    """
    decoded = codecs.decode(body, spec.image_pixels)
    inner = model_size(*decoded.image.size, spec.size, spec.rule, spec.model_pixels)
    return Prepared(codecs.to_model(decoded.image, inner), decoded.image.size, decoded.format)


def model_size(width: int, height: int, size: Size, rule: SizeRule, max_pixels: int) -> tuple[int, int]:
    """Returns the (width, height) inside the model of an image of `width` by `height`.

    With a number, the longest side becomes about that long, and both sides multiples of 32. With 'native', the sides
    are rounded to the model's multiple. Raises Problem 422 above `max_pixels`.
    """
    if size == "native":
        scale, step = 1.0, rule.multiple
    else:
        scale, step = size / max(width, height), SNAP
    minimum = max(MINIMUM_SIDE, rule.minimum)
    sides = tuple(max(minimum, round(side * scale / step) * step) for side in (width, height))
    if sides[0] * sides[1] > max_pixels:
        raise Problem(
            422,
            "too-many-model-pixels",
            f"size={size} sends {sides[0]}x{sides[1]} pixels through the model, but at most {max_pixels:,} are "
            f"allowed: leave out size, or use size={DEFAULT_SIZE}",
        )
    return sides[0], sides[1]
