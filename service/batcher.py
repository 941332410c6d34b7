"""The queue of one model: requests of one shape that wait together run together.

Work-conserving: where a slot is free a request starts at once, and what arrives while all are taken forms the
next batch, composed at the moment a slot is free.
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
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service import tracing
from service.failures import reason_of
from service.metrics import Metrics
from service.slots import Slot, Slots

log = logging.getLogger("service")

Rows = NDArray[Any]
Answers = NDArray[np.uint8]
Run = Callable[[Slot, Rows, bool], Answers]
"""Runs rows (n, ...) in a slot's thread and returns n answers; the flag says that no other batch runs or waits."""
Take = Callable[[tuple[int, ...], int], int]
"""Shape of an item and how many wait -> how many to run together, at least 1."""

FAILURES_IN_A_ROW = 5
"""So many batches in a row in which nothing succeeded are no longer the requests' fault."""


IN_TIME = 0.8
"""Part of a request's time that may pass, as it looks, before its turn comes."""


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
    rows: Rows
    """Items of the request, along the first axis."""
    future: asyncio.Future[Answers]
    """Resolved once, with all the request's results or its error."""
    deadline: float
    """When the result is of no more use, on the batcher's clock."""
    queued_at: float
    """When it was accepted."""
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    """The request's context variables: what is logged and traced on its behalf bears its ids."""
    taken: int = 0
    """Rows already given to a batch."""
    answered: int = 0
    """Rows whose results are there."""
    answers: Answers | None = None
    """Results so far, each at its row's place: parts that run side by side may end in any order."""

    @property
    def left(self) -> int:
        """Rows that still wait."""
        return len(self.rows) - self.taken


@dataclass(frozen=True)
class _Part:
    """Rows of one request in one batch."""

    entry: _Entry
    first: int
    count: int

    @property
    def rows(self) -> Rows:
        return self.entry.rows[self.first : self.first + self.count]


class Batcher:
    """Owns the queue of a model and what of it runs. All methods belong to the event loop."""

    def __init__(
        self,
        name: str,
        run: Run,
        take: Take,
        slots: Slots,
        queue_size: int,
        metrics: Metrics,
        inline_rows: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`slots` are shared with the other models of the device. `queue_size`: requests that may wait.

        `inline_rows`: a batch of so few runs on the event loop itself, since it takes less than the way to a thread
        and back.
        """
        self._inline_rows = inline_rows
        self._name, self._run, self._take, self._slots, self._queue_size = name, run, take, slots, queue_size
        self._metrics, self._clock = metrics, clock
        self._depth = metrics.queue_depth.labels(name)
        self._waits = metrics.queue_seconds.labels(name)
        self._queue: deque[_Entry] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._held = 0
        self._scheduled = False
        self._failures = 0
        self._failing_since: float | None = None
        self._seconds_a_row = 0.0

    async def stop(self) -> None:
        """Finishes what was accepted."""
        while self._queue or self._running:
            if self._running:
                await asyncio.wait(self._running)
            else:  # all slots are other models'
                await asyncio.sleep(0.01)

    @property
    def failing_seconds(self) -> float | None:
        """For how long the model itself has seemed broken, as after a lost GPU; None when it does not."""
        return None if self._failing_since is None else self._clock() - self._failing_since

    @contextmanager
    def place(self, timeout_seconds: float) -> Iterator[None]:
        """Holds a place in the queue while a request's picture is decoded, so that memory is bounded too.

        Raises QueueFullError when there is none, or none whose turn comes in time.
        """
        self._check_room(timeout_seconds)
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    def _check_room(self, timeout_seconds: float) -> None:
        """Turns away what there is no room for, and what would be late: to queue it would make others late too.

        A request's own rows do not count, or an idle model would refuse what it has never tried.
        """
        if not self._has_room(timeout_seconds):
            self._drop_lost()
            if not self._has_room(timeout_seconds):
                raise QueueFullError(min(60, max(1, math.ceil(self._seconds_to_wait()))))

    def _has_room(self, timeout_seconds: float) -> bool:
        short = len(self._queue) + self._held < self._queue_size
        return short and self._seconds_to_wait() <= IN_TIME * timeout_seconds

    def _seconds_to_wait(self) -> float:
        """Until what is queued now has run, at the pace of late."""
        waiting = self._held + sum(entry.left for entry in self._queue)
        return waiting * self._seconds_a_row / len(self._slots.all)

    async def submit(self, rows: Rows, timeout_seconds: float, admitted: bool = False) -> Answers:
        """Results of `rows` (n, ...), in order. Raises QueueFullError, DeadlineError or InferenceError.

        `admitted`: the request has just given back its `place`, and is not asked again whether it may come in.
        """
        if not admitted:
            self._check_room(timeout_seconds)
        now, loop = self._clock(), asyncio.get_running_loop()
        entry = _Entry(rows, loop.create_future(), now + timeout_seconds, now)
        self._queue.append(entry)
        self._dispatch_soon()
        timer = loop.call_later(timeout_seconds, _expire, entry.future, timeout_seconds)
        try:
            return await entry.future
        finally:
            timer.cancel()
            if entry.left:  # gone or late: it makes room at once
                self._drop_lost()

    def _dispatch_soon(self) -> None:
        """After the requests that arrived together have all been queued."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        """Starts batches as long as anything waits and a slot is free."""
        self._scheduled = False
        while self._queue and (slot := self._slots.claim(self._dispatch)):
            self._drop_lost()
            if not self._queue:
                self._slots.release(slot)
                break
            batch = self._compose()
            alone = not self._queue and self._slots.running == 1
            task = asyncio.get_running_loop().create_task(self._serve(slot, batch, alone))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        self._depth.set(len(self._queue))

    def _compose(self) -> list[_Part]:
        """Takes the next batch from the queue, which is not empty."""
        shape = self._queue[0].rows.shape[1:]
        waiting = [entry for entry in self._queue if entry.rows.shape[1:] == shape]
        room = self._take(shape, sum(entry.left for entry in waiting))
        waiting = waiting[:room]
        batch = []
        for place, entry in enumerate(sorted(waiting, key=lambda e: e.left)):
            share = min(entry.left, room // (len(waiting) - place))
            room -= share
            if entry.taken == 0:
                waited = self._clock() - entry.queued_at
                self._waits.observe(waited)
                tracing.record_stage("queue", waited, {"gan.model": self._name}, entry.context)
            batch.append(_Part(entry, entry.taken, share))
            entry.taken += share
            self._queue.remove(entry)
            if entry.left:
                self._queue.append(entry)
        return batch

    async def _serve(self, slot: Slot, batch: list[_Part], alone: bool) -> None:
        try:
            self._note(await self._execute(slot, batch, alone))
        finally:
            self._slots.release(slot)
            self._dispatch()

    def _note(self, succeeded: bool) -> None:
        self._failures = 0 if succeeded else self._failures + 1
        if self._failures < FAILURES_IN_A_ROW:
            self._failing_since = None
        elif self._failing_since is None:
            self._failing_since = self._clock()

    async def _execute(self, slot: Slot, batch: list[_Part], alone: bool) -> bool:
        """Runs a batch and hands out its results; after a failure, request by request: only the culprit fails.

        Returns whether anything succeeded.
        """
        start = self._clock()
        try:
            rows = np.concatenate([part.rows for part in batch]) if len(batch) > 1 else batch[0].rows
            if len(rows) <= self._inline_rows:
                answers = self._run(slot, rows, alone)
            else:
                answers = await asyncio.get_running_loop().run_in_executor(slot.thread, self._run, slot, rows, alone)
            if len(answers) != len(rows):
                raise ValueError(f"{len(answers)} results of {len(rows)} rows")
        except Exception as error:  # whatever the runtime raises concerns these requests only
            if len(batch) > 1:
                return any([await self._execute(slot, [part], alone) for part in batch if not part.entry.future.done()])
            self._fail(batch[0].entry, error)
            return False
        seconds = self._clock() - start
        self._metrics.inference_seconds.labels(self._name).observe(seconds)
        self._metrics.batch_items.labels(self._name).observe(len(rows))
        tracing.record_batch(self._name, len(rows), seconds, (part.entry.context for part in batch))
        self._seconds_a_row += 0.2 * (seconds / len(rows) - self._seconds_a_row)
        first = 0
        for part in batch:
            self._deliver(part, answers[first : first + part.count])
            first += part.count
        return True

    def _deliver(self, part: _Part, answers: Answers) -> None:
        entry = part.entry
        if part.count == len(entry.rows):
            entry.answers = answers
        else:
            if entry.answers is None:
                entry.answers = np.empty((len(entry.rows), *answers.shape[1:]), answers.dtype)
            entry.answers[part.first : part.first + part.count] = answers
        entry.answered += part.count
        if entry.answered == len(entry.rows) and not entry.future.done():
            entry.future.set_result(entry.answers)

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
            self._depth.set(len(self._queue))


def _expire(future: asyncio.Future[Answers], seconds: float) -> None:
    if not future.done():
        future.set_exception(DeadlineError(f"no result within {seconds:g} s"))
