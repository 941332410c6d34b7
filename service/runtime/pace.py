"""How long what waits for a device will take, at the pace of late."""

import math
from collections import deque
from collections.abc import Callable, Iterable
from statistics import median

BATCHES = 5
"""Of late, whose median is the pace: one that a pause of the process or a first use made slow says nothing."""


class Pace:
    """Of one model: seconds an element of its rows takes, whatever their shape, and seconds a batch takes.

    A picture's time in a network is about proportional to its pixels.
    """

    def __init__(self, waiting: Callable[[], float]) -> None:
        """`waiting`: how many elements of rows wait."""
        self._waiting, self._element_seconds = waiting, 0.0
        self._batches = deque([(0.0, 0.0)] * BATCHES, maxlen=BATCHES)
        self.batch_seconds = 0.0
        """Time of a batch in the model; 0 until it has run a few."""

    @property
    def waiting_seconds(self) -> float:
        """Time in the model of all that waits for it."""
        return self._waiting() * self._element_seconds

    def ran(self, elements: int, seconds: float) -> None:
        """Notes a batch."""
        self._batches.append((seconds / elements, seconds))
        self._element_seconds, self.batch_seconds = (median(kind) for kind in zip(*self._batches, strict=True))


def seconds_to_wait(own: Pace, paces: Iterable[Pace], slots: int) -> float:
    """Until what waits for a model has run on `slots`, which it shares with the models of `paces`.

    Between two of its batches every other model has one, as long as something waits there.
    """
    seconds = own.waiting_seconds
    turns = 1 + math.ceil(seconds / own.batch_seconds) if seconds else 1
    others = sum(min(pace.waiting_seconds, turns * pace.batch_seconds) for pace in paces if pace is not own)
    return (seconds + others) / slots
