"""From an upload's bytes to a model's inputs. Blocking: runs in a codec thread or process."""

import sys
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
SMALL, ON_CPU, ON_GPU = 256, 384, 512
"""Default sizes: of images whose sides are at most SMALL, which scores are measured on, and of larger ones.

On a photograph of 1024 pixels stripes are far better at 384 and 512 than at 256. The CPU has the smaller one for its
time, which grows with the square (docs/lab/detail.md).
"""
MAXIMUM_SIZE = 1024


@dataclass(frozen=True)
class InputSpec:
    """The size that a request asks for, and the sizes that its model and the settings allow."""

    size: Size | None
    """None: the default for the image and the device."""
    rule: SizeRule
    image_pixels: int
    """Largest upload."""
    model_pixels: int
    """Largest image inside the model."""
    gpu: bool
    """Whether the model runs on a GPU."""

    @property
    def tiled(self) -> bool:
        """Whether the model gets the image in tiles, so that its own size is the only limit."""
        return self.size == "native" and self.rule.receptive_radius is not None

    def model_size(self, width: int, height: int) -> tuple[int, int]:
        """The (width, height) inside the model of an image of `width` by `height`. Raises Problem 422."""
        size = default_size(max(width, height), self.model_pixels, self.gpu) if self.size is None else self.size
        return model_size(width, height, size, self.rule, sys.maxsize if self.tiled else self.model_pixels)


@dataclass(frozen=True)
class Prepared:
    """A decoded upload."""

    inputs: NDArray[np.uint8]
    """The model's inputs (1, height, width, 3), 0 to 255."""
    size: tuple[int, int]
    """Width and height of the upload."""
    format: codecs.Format
    """Format of the upload."""

    @property
    def model_size(self) -> tuple[int, int]:
        """Width and height inside the model."""
        return self.inputs.shape[2], self.inputs.shape[1]


def prepare(body: bytes, spec: InputSpec) -> Prepared:
    """Decodes an upload and resizes it. Raises Problem for an image that cannot be decoded or is too large.

    This is one step so that no image of full size is kept.
    """
    decoded = codecs.decode(body, spec.image_pixels, spec.model_size)
    inner = spec.model_size(*decoded.size)
    return Prepared(codecs.to_model(decoded.image, inner), decoded.size, decoded.format)


def default_size(side: int, max_pixels: int, gpu: bool) -> int:
    """Returns the default size of an image whose longest side is `side`.

    Below the default `max_pixels`, a size that might exceed them is not chosen.
    """
    large = ON_GPU if gpu else ON_CPU
    return large if side > SMALL and large * large <= max_pixels else SMALL


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
            f"allowed: leave out size, or use size={SMALL}",
        )
    return sides[0], sides[1]
