"""Bounds the pixels that codecs work on at the same time, and so their memory, whatever a camera's sensor has."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class PixelBudget:
    """Pixels that threads take and give back. A thread waits until there are enough; the longest waiting goes first."""

    def __init__(self, pixels: int) -> None:
        self._total = self._free = pixels
        self._turn, self._changed = threading.Lock(), threading.Condition()

    @contextmanager
    def take(self, pixels: int, seconds: float) -> Iterator[None]:
        """Holds `pixels` inside the block; more than there are at all means all. Raises TimeoutError."""
        pixels, until = min(pixels, self._total), time.monotonic() + seconds
        if not self._turn.acquire(timeout=max(0.0, seconds)):
            raise TimeoutError
        try:
            with self._changed:
                if not self._changed.wait_for(lambda: self._free >= pixels, max(0.0, until - time.monotonic())):
                    raise TimeoutError
                self._free -= pixels
        finally:
            self._turn.release()
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify()
