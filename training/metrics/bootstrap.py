"""Bootstrap intervals of distances between two sets of features."""

from collections.abc import Callable

import torch
from torch import Tensor
from tqdm import tqdm

Statistic = Callable[[Tensor, Tensor], float]


def bootstrap_reach(statistic: Statistic, a: Tensor, b: Tensor, draws: int, seed: int = 0) -> float:
    """Half the width of the 95% normal bootstrap interval of `statistic(a, b)`: 1.96 standard deviations.

    Both sets are drawn with replacement `draws` times. The interval is centred on the value itself: rows drawn twice
    enlarge a Fréchet distance in every draw, which biases the draws' mean but not their spread (Efron and Tibshirani
    1993, chapters 10 and 13). Raises ValueError for fewer than 2 draws.
    """
    if draws < 2:
        raise ValueError(f"an interval needs at least 2 draws, got {draws}")
    dice = torch.Generator().manual_seed(seed)
    turns = tqdm(range(draws), desc="bootstrap", disable=None)
    values = torch.tensor([statistic(_redrawn(a, dice), _redrawn(b, dice)) for _ in turns], dtype=torch.double)
    return 1.96 * float(values.std())


def _redrawn(rows: Tensor, dice: torch.Generator) -> Tensor:
    return rows[torch.randint(len(rows), (len(rows),), generator=dice)]
