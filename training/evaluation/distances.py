"""Scores that compare two sets of images in one feature space; their names include the space's."""

import torch
from torch import Tensor

from training.evaluation.report import Score, score
from training.metrics.bootstrap import bootstrap_reach
from training.metrics.fid import frechet_distance
from training.metrics.kid import kernel_difference_interval, kernel_distance, kernel_interval

FRECHET_DRAWS = 20
KERNEL_DRAWS = 200
FLOOR_DRAWS = 10
DIFFERENCE_DRAWS = 1000


def distances(space: str, made: Tensor, real: Tensor, protocol: str) -> list[Score]:
    """Fréchet and kernel distance of features (n, d) and (m, d), with intervals.

    Only the Inception network's Fréchet distance is called FID, and only its kernel distance KID (times 100, as
    it is published).
    """
    frechet, kernel, scale = _names(space)
    low, high = kernel_interval(made, real, KERNEL_DRAWS)
    value, reach = frechet_distance(made, real), bootstrap_reach(frechet_distance, made, real, FRECHET_DRAWS)
    return [
        score(frechet, value, protocol, (value - reach, value + reach)),
        score(kernel, scale * kernel_distance(made, real), protocol, (scale * low, scale * high)),
    ]


def yardstick(space: str, kind: str, other: Tensor, real: Tensor, protocol: str) -> list[Score]:
    """The same distances of images that were not generated, as a floor or ceiling to compare a score with."""
    frechet, kernel, scale = _names(space)
    return [
        score(f"{frechet}, {kind}", frechet_distance(other, real), protocol),
        score(f"{kernel}, {kind}", scale * kernel_distance(other, real), protocol),
    ]


def real_floor(space: str, others: Tensor, real: Tensor, count: int, protocol: str) -> list[Score]:
    """The same distances of `count` real images (all if there are fewer), drawn from `others` ten times.

    The value is the mean; the interval, 1.96 standard deviations of the draws, is that of one such set.
    """
    frechet, kernel, scale = _names(space)
    dice = torch.Generator().manual_seed(0)
    draws = [others[torch.randperm(len(others), generator=dice)[:count]] for _ in range(FLOOR_DRAWS)]
    found = []
    for name, factor, distance in ((frechet, 1.0, frechet_distance), (kernel, scale, kernel_distance)):
        values = factor * torch.tensor([distance(drawn, real) for drawn in draws], dtype=torch.double)
        mean, reach = float(values.mean()), 1.96 * float(values.std())
        found.append(score(f"{name}, real floor", mean, protocol, (mean - reach, mean + reach)))
    return found


def difference(space: str, made: Tensor, others: Tensor, real: Tensor, protocol: str) -> Score:
    """Kernel distance of `made` (n, d) less that of `others` (n, d), row for row from the same sources, to `real`."""
    _, kernel, scale = _names(space)
    low, high = kernel_difference_interval(made, others, real, DIFFERENCE_DRAWS)
    value = kernel_distance(made, real) - kernel_distance(others, real)
    return score(f"{kernel}, difference", scale * value, protocol, (scale * low, scale * high))


def _names(space: str) -> tuple[str, str, float]:
    if space == "Inception":
        return "FID (Inception)", "KID x 100 (Inception)", 100
    return f"FD ({space})", f"KD ({space})", 1
