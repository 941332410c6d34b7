"""Where batches run: so many at once, and every model in its turn."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from service.runtime.pace import Pace


@dataclass(frozen=True, eq=False)
class Slot:
    """A place for one running batch."""

    index: int
    """0 to the number of slots - 1: of CUDA slots, which session of a model runs here."""
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="run"))
    """The one thread in which batches run here: a CUDA graph belongs to the thread that captured it."""


class Slots:
    """Owns the slots of the CPU, or of all GPUs. All methods but `close` belong to the event loop.

    Fairness between models: who found no slot free is called when one is, the longest waiting first, and waits
    again behind the others for a second one.
    """

    def __init__(self, count: int) -> None:
        """`count`: batches that run at once."""
        self.all = [Slot(index) for index in range(count)]
        self.paces: list[Pace] = []
        """Of the models that run here."""
        self._free = deque(self.all)
        self._waiting: deque[Callable[[], None]] = deque()

    @property
    def running(self) -> int:
        """Slots that are taken."""
        return len(self.all) - len(self._free)

    def claim(self, turn: Callable[[], None]) -> Slot | None:
        """A free slot, to be given back with `release`; or None, and `turn` is called once when there is one."""
        if self._free:
            return self._free.popleft()  # the longest free: with several GPUs, one after the other
        if turn not in self._waiting:
            self._waiting.append(turn)
        return None

    def release(self, slot: Slot) -> None:
        """Gives a slot back, and its turn to who has waited longest."""
        self._free.append(slot)
        while self._free and self._waiting:
            self._waiting.popleft()()

    def close(self) -> None:
        """Ends the threads, once what they run is done."""
        for slot in self.all:
            slot.thread.shutdown()
