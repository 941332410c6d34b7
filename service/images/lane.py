"""Threads for one kind of codec work, and how long work that comes now would wait for them."""

import asyncio
import contextlib
import contextvars
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from service.telemetry.metrics import Lane as LaneName
from service.telemetry.metrics import Metrics

T = TypeVar("T")

SMOOTHING = 0.2
"""Smoothing factor of the average time that work takes."""
MAX_WAIT_FRACTION = 0.8
"""Work whose estimated wait exceeds this fraction of its time is not begun."""


class Lane:
    """As much work at the same time as there are threads. Call every method on the event loop."""

    def __init__(self, name: LaneName, count: int, metrics: Metrics) -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix=f"codec-{name}")
        self._count, self._free = count, asyncio.Semaphore(count)
        self._jobs, self._average_seconds = 0, 0.0
        metrics.codec_jobs.labels(name).set_function(lambda: self._jobs)

    @property
    def seconds_to_wait(self) -> float:
        """Estimated time until a thread is free for work that comes now."""
        return max(0, self._jobs + 1 - self._count) * self._average_seconds / self._count

    def full_for(self, seconds: float) -> int | None:
        """When to try again, in whole seconds, if work that has `seconds` would wait too long for them; else None."""
        wait = self.seconds_to_wait
        return math.ceil(wait) if wait > MAX_WAIT_FRACTION * seconds else None

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Runs `work` in a thread, in the caller's context: with its request's ids and span.

        A caller that is cancelled before a thread is free leaves nothing behind.
        """
        self._jobs += 1
        try:
            await self._free.acquire()
        except BaseException:
            self._jobs -= 1
            raise
        start, loop = time.monotonic(), asyncio.get_running_loop()
        try:
            running = self._threads.submit(contextvars.copy_context().run, work, *arguments)
        except BaseException:  # for example, the system cannot start a thread
            self._end(start)
            raise

        def ended(_: Future[Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._end, start)

        running.add_done_callback(ended)  # the thread itself: a cancelled caller does not wait for it
        try:
            return await asyncio.wrap_future(running)
        finally:
            del running  # it may hold an exception whose traceback holds this frame

    def close(self) -> None:
        """Waits for work that still runs."""
        self._threads.shutdown(cancel_futures=True)

    def _end(self, start: float) -> None:
        self._jobs -= 1
        self._average_seconds += SMOOTHING * (time.monotonic() - start - self._average_seconds)
        self._free.release()
