"""The tensors that a model takes and gives in the protocol, from its card."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from service.api.digits.response import MAX_DIGITS
from service.card import ModelCard, TensorSpec
from service.errors import Problem

Datatype = Literal["UINT8", "INT64", "UINT64", "FP32", "BYTES"]
"""The protocol's name of an element type."""

SEED = "seed"
"""Input of a sampler, in place of latent vectors: seeds as /mnist/sample has them."""
FILE = "_file"
"""Suffix of a translator's tensors that hold encoded images, in place of pixels."""

_DATATYPES: dict[str, Datatype] = {"float32": "FP32", "uint8": "UINT8", "int64": "INT64"}


@dataclass(frozen=True)
class Tensor:
    """A tensor of the protocol."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    """Axes; -1 stands for a size that the request chooses."""

    def check_shape(self, shape: Sequence[int], max_pixels: int) -> None:
        """Checks the shape of a request's tensor before anything is allocated for it.

        `max_pixels`: of all images together. Raises Problem 400 or 422.
        """
        fits = len(shape) == len(self.shape) and all(
            wanted in (-1, size) for wanted, size in zip(self.shape, shape, strict=True)
        )
        if not fits:
            raise malformed(f"input {self.name}: expected the shape {list(self.shape)}, got {str(list(shape))[:80]}")
        if any(size < 1 for size in shape):
            raise malformed(
                f"input {self.name}: each size in the shape is at least 1, got {str(list(shape))[:80]}: send the sizes "
                "of the data"
            )
        if shape[0] > MAX_DIGITS:
            raise malformed(
                f"input {self.name}: {shape[0]:,} items, but a request has at most {MAX_DIGITS:,}: send fewer"
            )
        if self.datatype == "UINT8" and shape[0] * shape[1] * shape[2] > max_pixels:
            raise Problem(
                422,
                "too-many-model-pixels",
                f"input {self.name}: the images of a request have at most {max_pixels:,} pixels together, these have "
                f"{shape[0] * shape[1] * shape[2]:,}: send fewer or smaller ones",
            )


@dataclass(frozen=True)
class Signature:
    """What a model takes and gives."""

    choices: tuple[Tensor, Tensor]
    """Inputs of which a request has one: seeds or latent vectors; pixels or encoded images."""
    label: Tensor | None
    """Input that a request has besides, for a model with labels."""
    outputs: dict[str, Tensor]
    """The output of each of `choices`, by the input's name."""

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """All inputs."""
        return self.choices if self.label is None else (*self.choices, self.label)


def signature_of(card: ModelCard) -> Signature:
    """Returns the signature of a card's model."""
    first, output = _tensor(card.input), _tensor(card.output)
    if card.latent is not None:
        seed, label = Tensor(SEED, "UINT64", (-1,)), None if card.label is None else _tensor(card.label)
        return Signature((seed, first), label, {SEED: output, first.name: output})
    file, result = (Tensor(tensor.name + FILE, "BYTES", (-1,)) for tensor in (first, output))
    return Signature((first, file), None, {first.name: output, file.name: result})


def malformed(detail: str) -> Problem:
    """The 400 of a request that is not one of the protocol, or not one of the model's."""
    return Problem(400, "invalid-inference-request", detail)


def _tensor(spec: TensorSpec) -> Tensor:
    shape = tuple(size if isinstance(size, int) else -1 for size in spec.shape)
    return Tensor(spec.name, _DATATYPES[spec.type], shape)
