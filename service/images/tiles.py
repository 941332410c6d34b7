"""Cuts an image into overlapping tiles of one shape for a model whose pixels depend on their surroundings alone.

A tile gives the pixels that are at least the overlap away from its borders, except from those that are the image's: a
model pads only at the borders of what it is given.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.card import SizeRule

TILE_SIDE = 640
"""Longest side of a tile, in pixels. Larger ones repeat less work in their overlaps and take more memory."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Span:
    """Rows or columns of a tile, and which of them it gives."""

    start: int
    """First one in the image."""
    length: int
    first: int
    """First one that it gives, in the image."""
    last: int
    """The one after the last that it gives."""

    @property
    def read(self) -> slice:
        """The tile in the image."""
        return slice(self.start, self.start + self.length)

    @property
    def written(self) -> slice:
        """The part of the image that the tile gives."""
        return slice(self.first, self.last)

    @property
    def given(self) -> slice:
        """The same part in the tile."""
        return slice(self.first - self.start, self.last - self.start)


def spans(side: int, overlap: int, longest: int, multiple: int) -> list[Span]:
    """Cuts `side` pixels into as few spans as possible, of one length, which is as short as that allows.

    All of them are multiples of `multiple`. `longest`: most pixels of a span, more than twice the `overlap`.
    """
    count = max(1, -(-(side - 2 * overlap) // (longest - 2 * overlap)))
    length = -(-(side + 2 * overlap * (count - 1)) // (count * multiple)) * multiple
    found = list[Span]()
    while not found or found[-1].last < side:
        first = found[-1].last if found else 0
        start = max(0, min(first - overlap, side - length))
        last = side if start + length == side else start + length - overlap
        found.append(Span(start, length, first, last))
    return found


class Tiling:
    """The tiles of one image, (1, height, width, 3), in rows, and the image that the model's outputs make."""

    def __init__(self, image: Pixels, rule: SizeRule) -> None:
        """`rule`: the model's, which has a receptive radius."""
        overlap = -(-(rule.receptive_radius or 0) // rule.multiple) * rule.multiple
        longest = max(TILE_SIDE, 4 * overlap) // rule.multiple * rule.multiple
        self._image, self.output = image[0], np.empty_like(image[0])
        self.rows = spans(image.shape[1], overlap, longest, rule.multiple)
        self._columns = spans(image.shape[2], overlap, longest, rule.multiple)

    def cut(self, row: Span) -> Pixels:
        """Returns a row's tiles (n, height, width, 3). All rows have the same shape."""
        return np.stack([self._image[row.read, column.read] for column in self._columns])

    def put(self, row: Span, outputs: Pixels) -> None:
        """Puts the model's outputs of a row's tiles into `output`."""
        for column, tile in zip(self._columns, outputs, strict=True):
            self.output[row.written, column.written] = tile[row.given, column.given]
