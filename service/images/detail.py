"""Puts a generator's change of a photograph onto the photograph itself, which keeps its fine detail.

The response is photograph + enlarge(after - before), where `before` is the photograph at model size and `after` the
generator's image of it. It works in horizontal strips: floats exist for one strip only. `python -m
benchmarks.serving.detail` compares it with a guided filter.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.images import codecs

STRIP_PIXELS = 2**16
"""Pixels of a strip: its arrays stay in a core's cache."""
BAND_COLUMNS = 64
"""Columns that are resampled at once, each from a few of the small image's."""


def render(
    body: bytes, before: NDArray[np.uint8], after: NDArray[np.uint8], kind: codecs.Format, max_pixels: int
) -> bytes:
    """Decodes the upload again, changes it as `transfer` does, and encodes it. Raises Problem like both codecs.

    Decoding twice costs time, and no pixels of the photograph are kept while the request waits for the model.
    """
    photograph = codecs.decode(body, max_pixels).image
    transfer(photograph, before, after)
    return codecs.encode(photograph, kind)


def transfer(photograph: Image.Image, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> None:
    """Adds the difference of two images (height, width, 3), 0 to 255, to an RGB photograph of any size, in place."""
    height, width, channels = before.shape
    columns = list(bands(width, photograph.width, BAND_COLUMNS))
    for band in bands(height, photograph.height, max(1, STRIP_PIXELS // photograph.width)):
        change = after[band.read].astype(np.float32) - before[band.read]
        tall = band.weights @ change.reshape(-1, width * channels)
        across = np.ascontiguousarray(tall.reshape(-1, width, channels).transpose(1, 0, 2)).reshape(width, -1)
        wide = np.empty((photograph.width, len(tall) * channels), np.float32)
        for part in columns:
            np.matmul(part.weights, across[part.read], out=wide[part.written])
        strip = wide.reshape(-1, len(tall), channels).transpose(1, 0, 2)
        area = (0, band.written.start, photograph.width, band.written.stop)
        strip = strip + np.asarray(photograph.crop(area))
        pixels = np.clip(np.rint(strip, out=strip), 0, 255, out=strip).astype(np.uint8)
        photograph.paste(Image.fromarray(pixels), area)


@dataclass(frozen=True)
class Band:
    """Neighbouring rows (or columns) of an enlarged image, and how they follow from those of the small one."""

    written: slice
    """The rows of the enlarged image."""
    read: slice
    """The rows of the small image that they depend on."""
    weights: NDArray[np.float32]
    """(written, read); the sums over the latter are 1."""


def bands(side: int, enlarged: int, at_once: int) -> Iterator[Band]:
    """Resamples `side` rows to `enlarged` ones: bicubic, as Pillow does it but without rounding.

    Bands have `at_once` rows, and a row's weights are the same in each.
    """
    scale = side / enlarged
    stretch = max(scale, 1.0)  # where the image shrinks, each row is a mean over the rows that it replaces
    for first in range(0, enlarged, at_once):
        last = min(first + at_once, enlarged)
        places = (np.arange(first, last) + 0.5) * scale
        read = slice(max(0, int(places[0] - 2 * stretch)), min(side, int(places[-1] + 2 * stretch) + 1))
        weights = _cubic((np.arange(read.start, read.stop) + 0.5 - places[:, None]) / stretch)
        weights /= weights.sum(axis=1, keepdims=True)
        yield Band(slice(first, last), read, weights.astype(np.float32))


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' kernel with a = -0.5."""
    x = np.abs(distance)
    return np.where(x < 1, (1.5 * x - 2.5) * x * x + 1, np.where(x < 2, ((-0.5 * x + 2.5) * x - 4) * x + 2, 0.0))
