"""The kernel distance between two sets of features (Bińkowski et al. 2018), unbiased for sets of any size."""

import torch
from torch import Tensor


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Unbiased squared MMD of features (n, d), (m, d) under (x.y / d + 1)^3; about 0 for one distribution.

    Raises ValueError for fewer than 2 rows a side.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a kernel distance needs at least 2 samples a side, got {len(a)} and {len(b)}")
    a, b = a.double(), b.double()
    return float(_mean_off_diagonal(_kernel(a, a)) + _mean_off_diagonal(_kernel(b, b)) - 2 * _kernel(a, b).mean())


def kernel_interval(a: Tensor, b: Tensor, draws: int = 1000, seed: int = 0) -> tuple[float, float]:
    """95% interval of the kernel distance, both sets drawn with replacement `draws` times.

    A row drawn twice has twice the weight, and its kernel with itself is left out, as in the unbiased estimate, so
    the draws are not biased as those of a Fréchet distance are. Near 0, where both sets have one distribution, the
    interval is wider than 95%. Raises ValueError for fewer than 2 rows a side.
    """
    dice = torch.Generator().manual_seed(seed)
    wa, wb = _weights(len(a), draws, dice), _weights(len(b), draws, dice)
    return _middle(_redrawn(a.double(), b.double(), wa, wb))


def kernel_difference_interval(
    a: Tensor, b: Tensor, real: Tensor, draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95% interval of kernel_distance(a, real) - kernel_distance(b, real), rows i of a and b having one source.

    Paired: each draw takes the same sources for both and the same rows of `real`, so that common deviations cancel.
    Raises ValueError unless a and b have equally many rows, and every set 2 or more.
    """
    if len(a) != len(b):
        raise ValueError(f"paired sets need equally many rows, got {len(a)} and {len(b)}")
    dice = torch.Generator().manual_seed(seed)
    sources, targets = _weights(len(a), draws, dice), _weights(len(real), draws, dice)
    real = real.double()
    return _middle(_redrawn(a.double(), real, sources, targets) - _redrawn(b.double(), real, sources, targets))


def _middle(values: Tensor) -> tuple[float, float]:
    low, high = torch.quantile(values, torch.tensor([0.025, 0.975], dtype=torch.double))
    return float(low), float(high)


def _redrawn(a: Tensor, b: Tensor, wa: Tensor, wb: Tensor) -> Tensor:
    """The kernel distance under each column of weights, (draws,)."""
    across = (wa * (_kernel(a, b) @ wb)).sum(0) / (len(a) * len(b))
    return _within(a, wa) + _within(b, wb) - 2 * across


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1) ** 3


def _mean_off_diagonal(k: Tensor) -> Tensor:
    n = len(k)
    return (k.sum() - k.diagonal().sum()) / (n * (n - 1))


def _weights(n: int, draws: int, dice: torch.Generator) -> Tensor:
    """Counts (n, draws) of each of n rows in each draw, without draws of a single row, which have no distances."""
    if n < 2:
        raise ValueError(f"an interval needs at least 2 samples a side, got {n}")
    columns: list[Tensor] = []
    while len(columns) < draws:
        column = torch.bincount(torch.randint(n, (n,), generator=dice), minlength=n)
        if column.max() < n:
            columns.append(column)
    return torch.stack(columns, dim=1).double()


def _within(rows: Tensor, weights: Tensor) -> Tensor:
    """Mean kernel of two different rows of one set under each column of weights, (draws,)."""
    kernel = _kernel(rows, rows).fill_diagonal_(0)
    return (weights * (kernel @ weights)).sum(0) / (weights.sum(0).square() - weights.square().sum(0))
