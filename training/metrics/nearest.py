"""Nearest neighbours among the training pictures: whether a generator has learnt its data by heart."""

import torch
from torch import Tensor

CHUNK = 500
"""Rows compared with all others at once, for the sake of memory."""


def nearest(points: Tensor, members: Tensor) -> tuple[Tensor, Tensor]:
    """For every row of `points` (n, d): distance to the nearest row of `members` (m, d), and that row's index, (n,)."""
    found = [torch.cdist(part, members).min(1) for part in points.split(CHUNK)]
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def near_copy_share(samples: Tensor, held_out: Tensor, training: Tensor, quantile: float = 0.01) -> float:
    """Share of `samples` (n, d) nearer to a member of `training` (m, d) than all but `quantile` of `held_out` are.

    Fresh draws from the data's own distribution score `quantile`, a generator that recites its data scores 1.
    """
    threshold = torch.quantile(nearest(held_out, training)[0].double(), quantile)
    return float((nearest(samples, training)[0] < threshold).double().mean())
