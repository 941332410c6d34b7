"""The figures that compare two sets of pictures in one feature space, always with the space's name in theirs."""

from torch import Tensor

from training.evaluation.report import Score, score
from training.metrics.bootstrap import bootstrap_reach
from training.metrics.frechet import frechet_distance
from training.metrics.kernel import kernel_distance, kernel_interval

FRECHET_DRAWS = 20
KERNEL_DRAWS = 200


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
    """The same distances of pictures that nobody generated: the floor or the ceiling to read a score by."""
    frechet, kernel, scale = _names(space)
    return [
        score(f"{frechet}, {kind}", frechet_distance(other, real), protocol),
        score(f"{kernel}, {kind}", scale * kernel_distance(other, real), protocol),
    ]


def _names(space: str) -> tuple[str, str, float]:
    if space == "Inception":
        return "FID (Inception)", "KID x 100 (Inception)", 100
    return f"FD ({space})", f"KD ({space})", 1
