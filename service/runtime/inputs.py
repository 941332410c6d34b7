"""What waits in a model's queue, as the tensors that its graph takes."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.card import ModelCard
from service.runtime.latents import latents

Feed = dict[str, NDArray[Any]]


def feeder(card: ModelCard) -> Callable[[NDArray[Any]], Feed]:
    """The function from rows to a graph's inputs by name.

    A translation's rows are its pictures. A sampler's are seeds, uint64 (n, 1), or seeds and digits (n, 2): latent
    vectors are made of a whole batch at once, and not on the event loop.
    """
    image, length, label = card.input.name, card.latent, card.label

    def pictures(rows: NDArray[Any]) -> Feed:
        return {image: rows}

    def samples(rows: NDArray[Any]) -> Feed:
        feed: Feed = {card.input.name: latents(rows[:, 0], length or 0)}
        if label is not None:
            feed[label.name] = rows[:, 1].astype(np.int64)
        return feed

    return pictures if length is None else samples


def probe_rows(card: ModelCard) -> NDArray[Any]:
    """One row that every model of this kind answers."""
    if card.latent is not None:
        return np.zeros((1, 1 + (card.label is not None)), dtype=np.uint64)
    return np.zeros((1, 64, 64, 3), dtype=np.uint8)
