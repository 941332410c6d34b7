"""Puts a generator's change of a photograph onto the photograph itself, which keeps its fine detail.

The response is photograph + enlarge(after - before), where `before` is the photograph at model size and `after` the
generator's image of it. It works in horizontal strips: floats exist only for one strip, and for the change, enlarged in
width alone. benchmarks/serving/detail.py compares it with a guided filter.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.images import codecs

STRIP_PIXELS = 2**16
"""Pixels of a strip: its arrays stay in a core's cache."""

Floats = NDArray[np.float32]


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
    change = after.astype(np.float32) - before.astype(np.float32)
    height, width, channels = change.shape
    columns = change.transpose(1, 0, 2).reshape(width, height * channels)
    wide = np.empty((photograph.width, height, channels), np.float32)
    for first, strip in resampled(columns, photograph.width, max(1, STRIP_PIXELS // height)):
        wide[first : first + len(strip)] = strip.reshape(-1, height, channels)
    rows = np.ascontiguousarray(wide.transpose(1, 0, 2)).reshape(height, photograph.width * channels)
    del wide
    for first, strip in resampled(rows, photograph.height, max(1, STRIP_PIXELS // photograph.width)):
        area = (0, first, photograph.width, first + len(strip))
        strip += np.asarray(photograph.crop(area)).reshape(strip.shape)
        pixels = np.clip(np.rint(strip, out=strip), 0, 255, out=strip).astype(np.uint8)
        photograph.paste(Image.fromarray(pixels.reshape(len(strip), photograph.width, channels)), area)


def resampled(rows: Floats, count: int, at_once: int) -> Iterator[tuple[int, Floats]]:
    """Resamples float32 (n, k) along its first axis to (count, k): bicubic, as Pillow does it but without rounding.

    Yields (first, strip) for strips of `at_once` rows. Each row depends on its place alone, not on its strip.
    """
    scale = len(rows) / count
    stretch = max(scale, 1.0)  # where the image shrinks, each row is a mean over the rows that it replaces
    for first in range(0, count, at_once):
        places = (np.arange(first, min(first + at_once, count)) + 0.5) * scale
        low = max(0, int(places[0] - 2 * stretch))
        high = min(len(rows), int(places[-1] + 2 * stretch) + 1)
        weights = _cubic((np.arange(low, high) + 0.5 - places[:, None]) / stretch)
        weights /= weights.sum(axis=1, keepdims=True)
        yield first, weights.astype(np.float32) @ rows[low:high]


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' kernel with a = -0.5."""
    x = np.abs(distance)
    return np.where(x < 1, (1.5 * x - 2.5) * x * x + 1, np.where(x < 2, ((-0.5 * x + 2.5) * x - 4) * x + 2, 0.0))
