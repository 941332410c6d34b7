"""Precision, recall (Kynkäänniemi et al. 2019, equations 1 and 2) and nearest neighbours in feature space."""

import torch
from torch import Tensor

NEIGHBOURS = 3
CHUNK = 500
"""Rows compared with all others at once, to limit memory."""


def precision_recall(fake: Tensor, real: Tensor, neighbours: int = NEIGHBOURS) -> tuple[float, float]:
    """Precision: share of `fake` (n, d) inside the manifold of `real` (m, d); recall: the other way round.

    The manifold of a set is the union of balls around its members, each as wide as the distance to its
    `neighbours`-th nearest other member. Raises ValueError for sets of no more members than that.
    """
    if min(len(fake), len(real)) <= neighbours:
        raise ValueError(f"{neighbours} neighbours need more members than {len(fake)} and {len(real)}")
    return _share_inside(fake, real, neighbours), _share_inside(real, fake, neighbours)


def _share_inside(points: Tensor, members: Tensor, neighbours: int) -> float:
    radii = torch.cat([torch.cdist(part, members).kthvalue(neighbours + 1).values for part in members.split(CHUNK)])
    inside = [(torch.cdist(part, members) <= radii).any(1) for part in points.split(CHUNK)]
    return float(torch.cat(inside).double().mean())


def nearest(points: Tensor, members: Tensor) -> tuple[Tensor, Tensor]:
    """For every row of `points` (n, d): distance to the nearest row of `members` (m, d), and that row's index, (n,)."""
    found = [torch.cdist(part, members).min(1) for part in points.split(CHUNK)]
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def near_copy_share(samples: Tensor, held_out: Tensor, training: Tensor, quantile: float = 0.01) -> float:
    """Share of `samples` (n, d) nearer to a member of `training` (m, d) than all but `quantile` of `held_out` are.

    New draws from the data's own distribution score `quantile`, a generator that copies its data scores 1.
    """
    threshold = torch.quantile(nearest(held_out, training)[0].double(), quantile)
    return float((nearest(samples, training)[0] < threshold).double().mean())
