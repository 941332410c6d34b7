"""What happens to an uploaded picture before the model and after it; blocking, wherever it runs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.api.negotiation import choose_format
from service.card import SizeRule
from service.images import codecs
from service.images.geometry import Size, model_size


@dataclass(frozen=True)
class Wanted:
    """What the request and the settings say of the picture and of its answer."""

    format: codecs.Format | None
    """Of the answer; wins over `accept`."""
    accept: str | None
    size: Size
    rule: SizeRule
    image_pixels: int
    model_pixels: int


@dataclass(frozen=True)
class Prepared:
    """Rows for the model, uint8 (1, height, width, 3), and what the answer is to be."""

    rows: NDArray[np.uint8]
    size: tuple[int, int]
    format: codecs.Format
    source: codecs.Format
    """Format of the upload."""


def prepare(body: bytes, wanted: Wanted) -> Prepared:
    """In one step, so that no full-size picture outlives it. Raises Problem for what cannot be taken or asked for."""
    picture = codecs.decode(body, wanted.image_pixels)
    kind = choose_format(wanted.format, wanted.accept, codecs.MEDIA_TYPES, picture.format)
    codecs.check_side(picture.image.size, kind)
    inner = model_size(*picture.image.size, wanted.size, wanted.rule, wanted.model_pixels)
    return Prepared(codecs.to_model(picture.image, inner), picture.image.size, kind, picture.format)
