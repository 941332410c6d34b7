"""The figures that compare two sets of pictures in one feature space, always with the space's name in theirs."""

from torch import Tensor

from training.evaluation.report import Score, score
from training.metrics.bootstrap import bootstrap_interval
from training.metrics.frechet import frechet_distance
from training.metrics.kernel import kernel_distance, kernel_interval

FRECHET_DRAWS = 20
KERNEL_DRAWS = 200


def distances(space: str, made: Tensor, real: Tensor, protocol: str) -> list[Score]:
    """Fréchet and kernel distance of features (n, d) and (m, d), with intervals.

    Only the Inception network's Fréchet distance is called FID, and only its kernel distance KID.
    """
    frechet, kernel = _names(space)
    return [
        score(
            frechet,
            frechet_distance(made, real),
            protocol,
            bootstrap_interval(frechet_distance, made, real, FRECHET_DRAWS),
        ),
        score(
            kernel,
            100 * kernel_distance(made, real),
            protocol,
            _hundredfold(kernel_interval(made, real, KERNEL_DRAWS)),
        ),
    ]


def yardstick(space: str, kind: str, other: Tensor, real: Tensor, protocol: str) -> list[Score]:
    """The same distances of pictures that nobody generated: the floor or the ceiling to read a score by."""
    frechet, kernel = _names(space)
    return [
        score(f"{frechet}, {kind}", frechet_distance(other, real), protocol),
        score(f"{kernel}, {kind}", 100 * kernel_distance(other, real), protocol),
    ]


def _names(space: str) -> tuple[str, str]:
    short = ("FID", "KID") if space == "Inception" else ("FD", "KD")
    return f"{short[0]} ({space})", f"{short[1]} x 100 ({space})"


def _hundredfold(interval: tuple[float, float]) -> tuple[float, float]:
    return 100 * interval[0], 100 * interval[1]
