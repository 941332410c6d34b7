"""How many modes a digit generator covers, from the labels of its samples."""

import torch
from torch import Tensor

MODE_SHARE = 0.01


def histogram(labels: Tensor, classes: int = 10) -> Tensor:
    """Labels (N,) -> shares (classes,) that sum to 1, float64."""
    return torch.bincount(labels, minlength=classes).double() / len(labels)


def kl_divergence(p: Tensor, q: Tensor) -> float:
    """KL(p || q) in nats of two histograms; a class absent from p adds nothing, q must be positive wherever p is."""
    present = p > 0
    return float((p[present] * (p[present] / q[present]).log()).sum())


def count_modes(shares: Tensor) -> int:
    """Digits that make up more than 1% of the samples."""
    return int((shares > MODE_SHARE).sum())
