"""How many samples look real, and how much of what is real is covered (Kynkäänniemi et al. 2019, equations 1 and 2)."""

import torch
from torch import Tensor

from training.metrics.nearest import CHUNK

NEIGHBOURS = 3


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
