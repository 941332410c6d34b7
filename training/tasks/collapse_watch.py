"""Detects mode collapse of a digit generator (Goodfellow 2016, section 5.1.1)."""

from collections.abc import Callable

import torch
from torch import Tensor

from training.metrics.modes import MODE_SHARE, count_modes, histogram, kl_divergence

MIN_MODES = 8
MAX_KL = 0.5
TICKS = 2


class CollapseWatch:
    """Reports a collapse after two consecutive ticks with fewer than 8 digits or a KL above 0.5 from the data."""

    def __init__(self, classify: Callable[[Tensor], Tensor], reference: Tensor, warmup_images: int) -> None:
        """`classify`: uint8 (N, 1, 28, 28) -> labels (N,). `reference`: the training set's histogram (10,)."""
        self._classify, self._reference, self._warmup_images = classify, reference, warmup_images
        self.bad_ticks = 0
        """Consecutive bad ticks; a resumed run continues the count."""

    def look(self, digits: Tensor, images: int) -> tuple[dict[str, float], str | None]:
        """Figures of generated digits uint8 (N, 1, 28, 28) at image `images` of the run, and a collapse warning."""
        shares = histogram(self._classify(digits))
        modes = count_modes(shares)
        from_training = kl_divergence(shares, self._reference)
        figures = {
            "modes": float(modes),
            "kl_from_training": from_training,
            "kl_from_uniform": kl_divergence(shares, torch.full_like(shares, 1 / len(shares))),
        }
        bad = images >= self._warmup_images and (modes < MIN_MODES or from_training > MAX_KL)
        self.bad_ticks = self.bad_ticks + 1 if bad else 0
        if self.bad_ticks < TICKS:
            return figures, None
        top = shares.argsort(descending=True)[:3].tolist()
        return figures, (
            f"MODE COLLAPSE: {modes} of 10 digits above {MODE_SHARE:.0%}, KL {from_training:.2f} from the training set "
            f"(mostly {', '.join(f'{d}: {shares[d]:.0%}' for d in top)}). Try the non-saturating loss or a lower rate."
        )
