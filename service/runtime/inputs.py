"""Turns queued inputs into the tensors that a model's graph takes."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.card import ModelCard
from service.runtime.latents import latents

Feed = dict[str, NDArray[Any]]
"""A graph's inputs by name."""


def feeder(card: ModelCard) -> Callable[[NDArray[Any]], Feed]:
    """Returns the function that turns queued inputs into a graph's feed.

    A translation's inputs are images, uint8 (n, height, width, 3). A sampler's are uint64: seeds (n, 1), or seeds and
    digits (n, 2). Latent vectors are computed here, for a whole batch at once and not on the event loop.
    """
    first, length, label = card.input.name, card.latent, card.label

    def images(inputs: NDArray[Any]) -> Feed:
        return {first: inputs}

    def samples(inputs: NDArray[Any]) -> Feed:
        feed: Feed = {first: latents(inputs[:, 0], length or 0)}
        if label is not None:
            feed[label.name] = inputs[:, 1].astype(np.int64)
        return feed

    return images if length is None else samples


def probe_inputs(card: ModelCard) -> NDArray[Any]:
    """One item that every working model of this kind accepts."""
    if card.latent is not None:
        return np.zeros((1, 1 + (card.label is not None)), dtype=np.uint64)
    return np.zeros((1, 64, 64, 3), dtype=np.uint8)
