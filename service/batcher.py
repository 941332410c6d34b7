"""The queue of one model: requests of one shape that wait together run together.

Work-conserving: an idle model starts at once, and what arrives while it runs forms the next batch.
Fairness: the oldest request's shape goes next; every waiting request of that shape gets an equal share of the
batch, small ones whole; a request that is not finished goes to the back of the queue.
"""

import asyncio
import contextvars
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service import tracing
from service.failures import reason_of
from service.metrics import Metrics

log = logging.getLogger("service")

Run = Callable[[NDArray[Any]], NDArray[np.uint8]]


FAILURES_IN_A_ROW = 5
"""So many batches in a row in which nothing succeeded are no longer the requests' fault."""


class QueueFullError(Exception):
    """No room; `retry_after_seconds` is when there should be."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"the queue is full, try again in {retry_after_seconds} s")
        self.retry_after_seconds = retry_after_seconds


class DeadlineError(Exception):
    """The result was not there in time."""


class InferenceError(Exception):
    """The model failed on this request's own items."""


@dataclass(eq=False)
class _Entry:
    rows: NDArray[Any]
    """Items of the request, along the first axis."""
    future: asyncio.Future[NDArray[np.uint8]]
    """Resolved once, with all the request's results or its error."""
    deadline: float
    """When the result is of no more use, on the batcher's clock."""
    queued_at: float
    """When it was accepted."""
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    """The request's context variables: what is logged and traced on its behalf bears its ids."""
    taken: int = 0
    """Rows already given to a batch."""
    results: list[NDArray[np.uint8]] = field(default_factory=list)
    """Results of the rows taken so far, in order."""


class Batcher:
    """Owns the queue and the one thread in which its model runs. All methods belong to the event loop."""

    def __init__(
        self,
        name: str,
        run: Run,
        max_rows: Callable[[tuple[int, ...]], int],
        queue_size: int,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`run` takes a batch and returns as many results. `max_rows`: largest batch for items of a shape."""
        self._name, self._run, self._max_rows, self._queue_size = name, run, max_rows, queue_size
        self._metrics, self._clock = metrics, clock
        self._queue: deque[_Entry] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"run-{name}")
        self._held = 0
        self._failures = 0
        self._failing_since: float | None = None
        self._seconds_a_row = 0.0
        self._worker: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Begins to serve; needs a running event loop."""
        self._worker = asyncio.create_task(self._serve(), name=f"batcher-{self._name}")

    async def stop(self) -> None:
        """Finishes what was accepted, then ends the thread."""
        self._stopping = True
        self._arrived.set()
        if self._worker:
            await self._worker
        self._thread.shutdown()

    @property
    def failing_seconds(self) -> float | None:
        """For how long the model itself has seemed broken, as after a lost GPU; None when it does not."""
        return None if self._failing_since is None else self._clock() - self._failing_since

    @contextmanager
    def place(self) -> Iterator[None]:
        """Holds a place in the queue while a request's picture is decoded, so that memory is bounded too.

        Raises QueueFullError when there is none.
        """
        self._check_room()
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    def _check_room(self) -> None:
        self._drop_lost()
        if len(self._queue) + self._held >= self._queue_size:
            waiting = sum(len(entry.rows) - entry.taken for entry in self._queue)
            raise QueueFullError(min(60, max(1, math.ceil(waiting * self._seconds_a_row))))

    async def submit(self, rows: NDArray[Any], timeout_seconds: float) -> NDArray[np.uint8]:
        """Results of `rows` (n, ...), in order. Raises QueueFullError, DeadlineError or InferenceError."""
        self._check_room()
        now = self._clock()
        entry = _Entry(rows, asyncio.get_running_loop().create_future(), now + timeout_seconds, now)
        self._queue.append(entry)
        self._measure_depth()
        self._arrived.set()
        try:
            async with asyncio.timeout(timeout_seconds):
                return await entry.future
        except TimeoutError:
            raise DeadlineError(f"no result within {timeout_seconds:g} s") from None

    async def _serve(self) -> None:
        while True:
            self._arrived.clear()
            while batch := self._compose():
                self._note(await self._execute(batch))
            if self._stopping:
                return
            await self._arrived.wait()

    def _compose(self) -> list[tuple[_Entry, NDArray[Any]]]:
        """Takes the next batch from the queue: (request, its rows in this batch)."""
        self._drop_lost()
        if not self._queue:
            return []
        shape = self._queue[0].rows.shape[1:]
        room = self._max_rows(shape)
        waiting = [entry for entry in self._queue if entry.rows.shape[1:] == shape][:room]
        batch = []
        for place, entry in enumerate(sorted(waiting, key=lambda e: len(e.rows) - e.taken)):
            share = min(len(entry.rows) - entry.taken, room // (len(waiting) - place))
            room -= share
            if entry.taken == 0:
                waited = self._clock() - entry.queued_at
                self._metrics.queue_seconds.labels(self._name).observe(waited)
                tracing.record_stage("queue", waited, {"gan.model": self._name}, entry.context)
            batch.append((entry, entry.rows[entry.taken : entry.taken + share]))
            entry.taken += share
            self._queue.remove(entry)
            if entry.taken < len(entry.rows):
                self._queue.append(entry)
        self._measure_depth()
        return batch

    def _note(self, succeeded: bool) -> None:
        self._failures = 0 if succeeded else self._failures + 1
        if self._failures < FAILURES_IN_A_ROW:
            self._failing_since = None
        elif self._failing_since is None:
            self._failing_since = self._clock()

    async def _execute(self, batch: list[tuple[_Entry, NDArray[Any]]]) -> bool:
        """Runs a batch and hands out its results; after a failure, request by request: only the culprit fails.

        Returns whether anything succeeded.
        """
        start = self._clock()
        try:
            rows = np.concatenate([part for _, part in batch]) if len(batch) > 1 else batch[0][1]
            answers = await asyncio.get_running_loop().run_in_executor(self._thread, self._run, rows)
            if len(answers) != len(rows):
                raise ValueError(f"{len(answers)} results of {len(rows)} rows")
        except Exception as error:  # whatever the runtime raises concerns these requests only
            if len(batch) > 1:
                return any([await self._execute([single]) for single in batch])
            self._fail(batch[0][0], error)
            return False
        seconds = self._clock() - start
        self._metrics.inference_seconds.labels(self._name).observe(seconds)
        self._metrics.batch_items.labels(self._name).observe(len(rows))
        tracing.record_batch(self._name, len(rows), seconds, (entry.context for entry, _ in batch))
        self._seconds_a_row += 0.2 * (seconds / len(rows) - self._seconds_a_row)
        first = 0
        for entry, part in batch:
            self._deliver(entry, answers[first : first + len(part)])
            first += len(part)
        return True

    def _deliver(self, entry: _Entry, answers: NDArray[np.uint8]) -> None:
        entry.results.append(answers)
        if sum(map(len, entry.results)) == len(entry.rows) and not entry.future.done():
            entry.future.set_result(np.concatenate(entry.results))

    def _fail(self, entry: _Entry, error: Exception) -> None:
        """Its client gets the bare fact; the cause is for the log. What it still has in the queue is dropped there."""
        text = "%s failed on a request of %s"
        entry.context.run(log.error, text, self._name, entry.rows.shape, exc_info=error)
        self._metrics.inference_failures.labels(self._name, reason_of(error)).inc()
        if not entry.future.done():
            failure = InferenceError(f"{self._name} failed on this request")
            failure.__cause__ = error
            entry.future.set_exception(failure)

    def _drop_lost(self) -> None:
        """Forgets requests whose client has stopped waiting or whose time is up."""
        now = self._clock()
        if any(entry.future.done() or entry.deadline <= now for entry in self._queue):
            self._queue = deque(e for e in self._queue if not e.future.done() and e.deadline > now)
            self._measure_depth()

    def _measure_depth(self) -> None:
        self._metrics.queue_depth.labels(self._name).set(len(self._queue))
