"""Maps a seed to a digit's latent vector, the same on every machine and in every version, and interpolates vectors.

The map is part of the HTTP contract, so it uses no library's random generator: SplitMix64 (Steele et al. 2014) gives
uniform numbers, the Box-Muller transform (1958) makes them normal.
"""

import numpy as np
from numpy.typing import NDArray

SEED_RANGE = 2**64
"""Seeds are smaller than this."""
LARGEST = 1e6
"""Largest magnitude of a number in a latent vector that a client sends; N(0, 1) has none above 10."""

_STRAIGHT = 1e-6
"""Sine of an angle between vectors that lie on one line."""
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def consecutive_seeds(seed: int, count: int) -> NDArray[np.uint64]:
    """Returns the seeds (count,) of the digits of a request for `seed`: seed + i modulo 2^64."""
    return np.arange(count, dtype=np.uint64) + np.uint64(seed)  # wraps around


def latents(seeds: NDArray[np.uint64], length: int) -> NDArray[np.float32]:
    """Maps seeds (n,) to N(0, 1) vectors (n, length). A row depends on its own seed only."""
    pairs = -(-length // 2)
    start = _mix(seeds)
    with np.errstate(over="ignore"):  # the arithmetic is modulo 2^64
        counters = start[:, None] + np.arange(1, 2 * pairs + 1, dtype=np.uint64) * _GOLDEN
    uniform = ((_mix(counters) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53  # in (0, 1), without its ends
    radius = np.sqrt(-2.0 * np.log(uniform[:, :pairs]))
    angle = 2.0 * np.pi * uniform[:, pairs:]
    normal = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return normal[:, :length].astype(np.float32)


def in_range(vectors: NDArray[np.float32]) -> bool:
    """Returns whether a model can compute with the vectors: larger numbers overflow inside it, and the image is black.

    NaN and infinity are out of range.
    """
    return bool((np.abs(vectors) <= LARGEST).all())


def interpolated(ends: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
    """Returns vectors (steps, length) on the arc from the first of `ends` (2, length) to the second, both included.

    Spherical interpolation (Shoemake 1985): vectors between have about the length of the ends, like the samples that a
    generator was fitted on, while those on a straight line are shorter. `steps` is at least 2.
    """
    first, last = ends.astype(np.float64)
    norms = np.linalg.norm(first) * np.linalg.norm(last)
    angle = np.arccos(np.clip(first @ last / norms, -1.0, 1.0))
    share = np.linspace(0.0, 1.0, steps)[:, None]
    if np.sin(angle) < _STRAIGHT:  # equal ends, or opposite ones, between which no arc is the shortest
        between = (1 - share) * first + share * last
    else:
        between = (np.sin((1 - share) * angle) * first + np.sin(share * angle) * last) / np.sin(angle)
    between[[0, -1]] = ends  # without what rounding changes
    return between.astype(np.float32)


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser: every bit of the result depends on every bit of the state."""
    with np.errstate(over="ignore"):
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
