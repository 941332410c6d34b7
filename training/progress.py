"""How far a run is, in images or by the clock: what the learning rate and the end of the run go by."""

import time
from collections.abc import Callable

import torch

from training.config.base import FitConfig
from training.distributed import World


class Progress:
    """Counts the time that a run takes over all its resumptions."""

    def __init__(
        self, config: FitConfig, world: World, seconds: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`seconds`: what the run had taken when it was saved."""
        self._config, self._world, self._clock = config, world, clock
        self._start = clock() - seconds

    @property
    def seconds(self) -> float:
        """Time taken so far."""
        return self._clock() - self._start

    def done(self, images: int) -> float:
        """Share of the run that is done at image `images`, 1 at its end; the same in every process.

        By the clock where the run's length is set in minutes, in images otherwise.
        """
        if self._config.minutes is None:
            return min(1.0, images / self._config.images)
        spent = self.seconds / (60 * self._config.minutes)
        if self._world.size > 1:  # clocks differ, and every process must stop at the same step
            spent = float(self._world.average(torch.tensor(spent, device=self._world.device)))
        return min(1.0, spent)
