"""Clusters of images by k-means (Lloyd 1982), without labels."""

import torch
from torch import Tensor

from training import rng

ROUNDS = 30


def cluster(images: Tensor, clusters: int, seed: int) -> Tensor:
    """Labels int64 (n,) of `images` uint8 (n, ...): the index of the nearest of `clusters` means, in pixels.

    The means start at random images; that of an empty cluster is replaced by another random image.
    """
    points = images.flatten(1).float() / 255
    dice = rng.generator(seed, "clusters")
    means = points[torch.randperm(len(points), generator=dice)[:clusters]]
    for _ in range(ROUNDS):
        labels = _nearest(points, means)
        counts = torch.bincount(labels, minlength=clusters)
        sums = torch.zeros_like(means).index_add_(0, labels, points)
        means = sums / counts.clamp(min=1)[:, None]
        empty = (counts == 0).nonzero().squeeze(1)
        means[empty] = points[torch.randint(len(points), (len(empty),), generator=dice)]
    return _nearest(points, means)


def _nearest(points: Tensor, means: Tensor) -> Tensor:
    return (means.square().sum(1) - 2 * points @ means.T).argmin(1)
