"""At which size a picture goes through a translation model."""

from typing import Literal

from service.card import SizeRule
from service.errors import Problem

Size = int | Literal["native"]

SNAP = 32
"""Sides are multiples of this, so that real photographs fall into a dozen shapes and still share batches."""
MINIMUM_SIDE = 64
"""Smaller inputs leave nothing to see after two halvings, and reflection padding needs them wider than itself."""
DEFAULT_SIZE = 256
MAXIMUM_SIZE = 1024


def model_size(width: int, height: int, size: Size, rule: SizeRule, max_pixels: int) -> tuple[int, int]:
    """(width, height) of a picture -> (width, height) in the model.

    A number makes the longest side about as long, both sides multiples of 32; 'native' keeps the picture's own
    size up to the model's multiple. Raises Problem 422 above `max_pixels`.
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
            f"size={size} sends {sides[0]}x{sides[1]} pixels through the model, at most {max_pixels:,} are allowed: "
            f"leave size away or ask for size={DEFAULT_SIZE}",
        )
    return sides[0], sides[1]
