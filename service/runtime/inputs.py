"""The inputs that a model's queue takes, and how they become the tensors of its graph."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.card import ModelCard
from service.runtime.latents import latents

Feed = dict[str, NDArray[Any]]
"""A graph's inputs by name."""

_VECTOR, _LABEL = "vector", "label"
"""Fields of the records of `latent_inputs`."""


def seed_inputs(seeds: NDArray[np.uint64], labels: NDArray[Any] | None = None) -> NDArray[np.uint64]:
    """Returns the queued inputs for digits of `seeds` (n,), and of `labels` (n,) where the model takes them."""
    return seeds[:, None] if labels is None else np.column_stack([seeds, labels.astype(np.uint64)])


def latent_inputs(vectors: NDArray[np.float32], labels: NDArray[Any] | None = None) -> NDArray[np.void]:
    """Returns the queued inputs for digits of latent vectors (n, length), and of `labels` (n,) likewise.

    They are records (n,): one element an item, like a seed, since the queue estimates times by the element.
    """
    fields: list[Any] = [(_VECTOR, np.float32, vectors.shape[1:])]
    records: NDArray[np.void] = np.empty(
        len(vectors), np.dtype(fields if labels is None else [*fields, (_LABEL, np.int64)])
    )
    records[_VECTOR] = vectors
    if labels is not None:
        records[_LABEL] = labels
    return records


def feeder(card: ModelCard) -> Callable[[NDArray[Any]], Feed]:
    """Returns the function that turns queued inputs into a graph's feed.

    A translation's inputs are images, uint8 (n, height, width, 3). A sampler's are those of `seed_inputs` or
    `latent_inputs`. The vectors of seeds are computed here, for a whole batch at once and not on the event loop.
    """
    first, length, label = card.input.name, card.latent, card.label

    def images(inputs: NDArray[Any]) -> Feed:
        return {first: inputs}

    def samples(inputs: NDArray[Any]) -> Feed:
        if inputs.dtype.names:
            feed: Feed = {first: np.ascontiguousarray(inputs[_VECTOR])}
            if label is not None:
                feed[label.name] = np.ascontiguousarray(inputs[_LABEL])
            return feed
        feed = {first: latents(inputs[:, 0], length or 0)}
        if label is not None:
            feed[label.name] = inputs[:, 1].astype(np.int64)
        return feed

    return images if length is None else samples


def probe_inputs(card: ModelCard) -> NDArray[Any]:
    """One item that every working model of this kind accepts."""
    if card.latent is not None:
        return np.zeros((1, 1 + (card.label is not None)), dtype=np.uint64)
    return np.zeros((1, 64, 64, 3), dtype=np.uint8)


def check_outputs(card: ModelCard, inputs: NDArray[Any], outputs: Sequence[NDArray[Any]]) -> None:
    """Raises ValueError when a graph's outputs of queued `inputs` are not the one that the card names."""
    if len(outputs) != 1:
        raise ValueError(f"it has {len(outputs)} outputs, expected one")
    axes = dict(zip(card.input.shape, inputs.shape, strict=False))
    expected = tuple(axes.get(size, size) if isinstance(size, str) else size for size in card.output.shape)
    found = outputs[0]
    if (found.dtype, found.shape) != (np.dtype(card.output.type), expected):
        raise ValueError(
            f"its output is {found.dtype} {found.shape}, expected {card.output.type} ({', '.join(map(str, expected))})"
        )
