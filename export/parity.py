"""The gate before publishing: ONNX Runtime must answer what PyTorch answers."""

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
import torch
from torch import Tensor, nn

from service.card import Parity

TOLERANCE = 1
"""Grey levels of 255: both sides round the same real number, whose last bits they compute in another order."""
MAX_DIFFERING_SHARE = 0.01


class ParityError(Exception):
    """An export that does not answer what PyTorch answers."""


@torch.no_grad()
def check_parity(model: bytes, graph: nn.Module, inputs: Sequence[tuple[Tensor, ...]]) -> Parity:
    """Compares the serialised model with the PyTorch graph on every input, ONNX Runtime's optimisations on and off.

    Raises ParityError beyond one grey level, or when more than 1% of the pixels differ.
    """
    worst, differing, pixels = 0, 0, 0
    for level in (ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_ALL):
        options = ort.SessionOptions()
        options.graph_optimization_level = level
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        names = [i.name for i in session.get_inputs()]
        for batch in inputs:
            expected = graph(*batch).numpy()
            (answer,) = session.run(None, {name: x.numpy() for name, x in zip(names, batch, strict=True)})
            if answer.shape != expected.shape or answer.dtype != expected.dtype:
                raise ParityError(
                    f"for input {tuple(batch[0].shape)} ONNX Runtime gives {answer.dtype} {answer.shape}, "
                    f"PyTorch {expected.dtype} {expected.shape}: not published"
                )
            difference = np.abs(answer.astype(np.int16) - expected.astype(np.int16))
            worst = max(worst, int(difference.max()))
            differing += int((difference > 0).sum())
            pixels += difference.size
    share = differing / pixels
    if worst > TOLERANCE or share > MAX_DIFFERING_SHARE:
        raise ParityError(
            f"ONNX Runtime and PyTorch differ by up to {worst} grey levels in {share:.2%} of the pixels "
            f"(at most {TOLERANCE} and {MAX_DIFFERING_SHARE:.0%} are published): not published"
        )
    return Parity(
        max_difference=worst,
        differing_share=share,
        tolerance=TOLERANCE,
        checked=tuple("x".join(map(str, batch[0].shape)) for batch in inputs),
    )
