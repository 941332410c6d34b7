"""Slots for batches on a device, and the estimate of how long a queue waits for them."""

import math
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import median

RECENT_BATCHES = 5
"""Batches whose median times the estimate uses: a single batch that was slow, as the first ones are, does not count."""


@dataclass(frozen=True, eq=False)
class Slot:
    """Room for one running batch."""

    index: int
    """From 0 to the number of slots - 1; it selects the lane of a CUDA session."""
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="run"))
    """The only thread that runs this slot's batches: a CUDA graph belongs to the thread that captured it."""


class Slots:
    """Owns the slots of the CPU, or of all GPUs. Call every method except `close` on the event loop.

    Waiting models get free slots in FIFO order, one per turn.
    """

    def __init__(self, count: int) -> None:
        """`count`: batches that may run at the same time."""
        self.all = [Slot(index) for index in range(count)]
        self._free = deque(self.all)
        self._turns: deque[Callable[[], None]] = deque()
        self._estimators: list[WaitEstimator] = []

    @property
    def running(self) -> int:
        """Slots in use."""
        return len(self.all) - len(self._free)

    def claim(self, turn: Callable[[], None]) -> Slot | None:
        """Takes a free slot, which `release` returns. If there is none, `turn` is called once when there is one."""
        if self._free:
            return self._free.popleft()  # the one that has been free longest: several GPUs take turns
        if turn not in self._turns:
            self._turns.append(turn)
        return None

    def release(self, slot: Slot) -> None:
        """Returns a slot, and gives the model that has waited longest its turn."""
        self._free.append(slot)
        while self._free and self._turns:
            self._turns.popleft()()

    def register(self, estimator: "WaitEstimator") -> None:
        """Adds a model that runs in these slots: its queue lengthens the wait of the others."""
        self._estimators.append(estimator)

    def unregister(self, estimator: "WaitEstimator") -> None:
        """Removes a model that `register` added."""
        self._estimators.remove(estimator)

    def seconds_to_wait(self, own: "WaitEstimator") -> float:
        """Estimated time until everything in the queue of a registered model has run."""
        return seconds_to_wait(own, self._estimators, len(self.all))

    def close(self) -> None:
        """Ends the threads after their running batches."""
        for slot in self.all:
            slot.thread.shutdown()


class WaitEstimator:
    """Estimates one model's queue wait from its recent batch times.

    Time is counted per element of the inputs, whatever their shape: a network's time for an image is about
    proportional to its pixels.
    """

    def __init__(self, queued_elements: Callable[[], float]) -> None:
        """`queued_elements` returns how many input elements are in the model's queue."""
        self._queued_elements, self._element_seconds = queued_elements, 0.0
        self._batches = deque([(0.0, 0.0)] * RECENT_BATCHES, maxlen=RECENT_BATCHES)
        self.batch_seconds = 0.0
        """Median time of a batch; 0 until a few have run."""

    @property
    def queued_seconds(self) -> float:
        """Estimated run time of everything in the queue."""
        return self._queued_elements() * self._element_seconds

    def record(self, elements: int, seconds: float) -> None:
        """Records a batch of so many input elements."""
        self._batches.append((seconds / elements, seconds))
        self._element_seconds, self.batch_seconds = (median(kind) for kind in zip(*self._batches, strict=True))


def seconds_to_wait(own: WaitEstimator, estimators: Iterable[WaitEstimator], slots: int) -> float:
    """Estimated time until a model's queue has run on `slots`, which it shares with the models of `estimators`.

    Between two batches of the model, every other model with a queue runs one.
    """
    seconds = own.queued_seconds
    turns = 1 + math.ceil(seconds / own.batch_seconds) if seconds else 1
    for other in estimators:
        if other is not own and (queued := other.queued_seconds):
            seconds += min(queued, turns * other.batch_seconds)
    return seconds / slots
