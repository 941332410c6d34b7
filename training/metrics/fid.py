"""The Fréchet distance between two sets of features (Heusel et al. 2017, equation 6)."""

import torch
from torch import Tensor


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """|mean(a) - mean(b)|^2 + tr(Ca + Cb - 2 (Ca Cb)^(1/2)) of features (n, d) and (m, d), n and m at least 2.

    tr (Ca Cb)^(1/2) is the sum of singular values of A^T B, A and B being the centred features over
    sqrt(n - 1) and sqrt(m - 1): no square root of a matrix, exact where n < d makes the covariances singular.
    Raises ValueError for fewer rows.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a Fréchet distance needs at least 2 samples a side, got {len(a)} and {len(b)}")
    a, b = a.double(), b.double()
    centred_a = (a - a.mean(0)) / (len(a) - 1) ** 0.5
    centred_b = (b - b.mean(0)) / (len(b) - 1) ** 0.5
    # singular values of A B^T (n, m) are those of Ca^(1/2) Cb^(1/2)
    if max(len(a), len(b)) > a.shape[1]:  # fewer dimensions than samples: the same from two (d, d) factors
        centred_a, centred_b = torch.linalg.qr(centred_a)[1], torch.linalg.qr(centred_b)[1]
    cross = torch.linalg.svdvals(centred_a @ centred_b.T).sum()
    spread = centred_a.square().sum() + centred_b.square().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + spread - 2 * cross)
