"""Compares ONNX Runtime's outputs with PyTorch's before a model is published."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.half import with_roundings
from service.card import HALF_FILE, HalfParity, Parity

Inputs = Sequence[tuple[Tensor, ...]]

TOLERANCE = 1
"""Grey levels of 255: both round the same number, whose last bits depend on the order of operations."""
MAX_DIFFERING_SHARE = 0.01

HALF_MEAN_TOLERANCE = 0.5
"""Mean, in grey levels of 255: half precision has eleven bits, a pixel eight, and normalisation enlarges errors."""
HALF_MAX_TOLERANCE = 8
"""Largest of a single pixel, in grey levels: 3% of the range."""


class ParityError(Exception):
    """An export whose outputs differ too much from PyTorch's."""


@dataclass(frozen=True)
class _Difference:
    """Difference over all pixels, in grey levels."""

    largest: int
    mean: float
    share: float
    """Share of pixels that differ."""


def check_parity(model: bytes, graph: nn.Module, inputs: Inputs) -> Parity:
    """Compares the serialised model with the PyTorch graph on every input, ONNX Runtime's optimisations on and off.

    Raises ParityError beyond one grey level, or when more than 1% of the pixels differ.
    """
    (found,) = _differences([model], graph, inputs)
    if found.largest > TOLERANCE or found.share > MAX_DIFFERING_SHARE:
        raise ParityError(
            f"ONNX Runtime and PyTorch differ by up to {found.largest} grey levels in {found.share:.2%} of the pixels "
            f"(at most {TOLERANCE} and {MAX_DIFFERING_SHARE:.0%} are published): not published"
        )
    return Parity(
        max_difference=found.largest, differing_share=found.share, tolerance=TOLERANCE, checked=_shapes(inputs)
    )


def check_half_parity(model: onnx.ModelProto, graph: nn.Module, inputs: Inputs) -> HalfParity:
    """Compares the half-precision model with the PyTorch graph in fp32, as `check_parity` does.

    It runs twice on the CPU: as it is, and with the roundings of a GPU. Raises ParityError beyond the tolerances.
    """
    runs = _differences([m.SerializeToString() for m in (model, with_roundings(model))], graph, inputs)
    mean, largest = max(found.mean for found in runs), max(found.largest for found in runs)
    if mean > HALF_MEAN_TOLERANCE or largest > HALF_MAX_TOLERANCE:
        raise ParityError(
            f"half precision and PyTorch differ by {mean:.2f} grey levels on average and up to {largest} "
            f"(at most {HALF_MEAN_TOLERANCE} and {HALF_MAX_TOLERANCE} are published): no {HALF_FILE} published"
        )
    return HalfParity(
        mean_difference=mean,
        max_difference=largest,
        mean_tolerance=HALF_MEAN_TOLERANCE,
        max_tolerance=HALF_MAX_TOLERANCE,
        checked=_shapes(inputs),
    )


@torch.no_grad()
def _differences(models: Sequence[bytes], graph: nn.Module, inputs: Inputs) -> list[_Difference]:
    """The difference of each model from the graph."""
    expected = [graph(*batch).numpy() for batch in inputs]
    return [_difference(model, inputs, expected) for model in models]


def _difference(model: bytes, inputs: Inputs, expectations: Sequence[NDArray[Any]]) -> _Difference:
    largest, total, differing, pixels = 0, 0, 0, 0
    for level in (ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_ALL):
        options = ort.SessionOptions()
        options.graph_optimization_level = level
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        names = [i.name for i in session.get_inputs()]
        for batch, expected in zip(inputs, expectations, strict=True):
            (output,) = session.run(None, {name: x.numpy() for name, x in zip(names, batch, strict=True)})
            if output.shape != expected.shape or output.dtype != expected.dtype:
                raise ParityError(
                    f"for input {tuple(batch[0].shape)} ONNX Runtime gives {output.dtype} {output.shape}, "
                    f"PyTorch {expected.dtype} {expected.shape}: not published"
                )
            difference = np.abs(output.astype(np.int16) - expected.astype(np.int16))
            largest = max(largest, int(difference.max()))
            total += int(difference.sum())
            differing += int((difference > 0).sum())
            pixels += difference.size
    return _Difference(largest, total / pixels, differing / pixels)


def _shapes(inputs: Inputs) -> tuple[str, ...]:
    return tuple("x".join(map(str, batch[0].shape)) for batch in inputs)
