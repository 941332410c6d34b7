"""One model's requests, from the queue through the slots to their results.

Work-conserving: where a slot is free a request starts at once, and what arrives while all are taken forms the
next batch, composed (`service.engine.queue`) at the moment a slot is free.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from service.engine.failures import reason_of
from service.engine.health import PROBE_SECONDS, Health
from service.engine.queue import Answers, Entry, Part, Rows, Take, Waiting
from service.runtime.pace import Pace, seconds_to_wait
from service.runtime.slots import Slot, Slots
from service.telemetry import tracing
from service.telemetry.metrics import Metrics

log = logging.getLogger("service")

Run = Callable[[Slot, Rows, bool], Answers]
"""Runs rows (n, ...) in a slot's thread and returns n answers; the flag says that no other batch runs or waits."""

WEIGHT = 0.2
"""Of the last request in what a request is taken to bring."""

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
        probe: Rows | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`slots` are shared with the other models of the device. `queue_size`: requests that may wait.

        `inline_rows`: a batch of so few runs on the event loop itself, since it takes less than the way to a thread
        and back. `probe`: rows that the model answers when it works.
        """
        self._inline_rows = inline_rows
        self._name, self._run, self._take, self._slots, self._queue_size = name, run, take, slots, queue_size
        self._metrics, self._clock = metrics, clock
        self._depth, self._waits = metrics.queue_depth.labels(name), metrics.queue_seconds.labels(name)
        self._waiting, self._pace = Waiting(), Pace(self._waiting_elements)
        self._health, self._probe = Health(self._try_out, clock), probe
        slots.paces.append(self._pace)
        self._running: set[asyncio.Task[None]] = set()
        self._held = 0
        self._request_elements = 0.0
        self._scheduled = False

    async def stop(self) -> None:
        """Finishes what was accepted."""
        self._health.stop()
        while self._waiting or self._running:
            if self._running:
                await asyncio.wait(self._running)
            else:  # all slots are other models'
                await asyncio.sleep(0.01)

    @property
    def failing_seconds(self) -> float | None:
        """For how long the model itself has seemed broken, as after a lost GPU; None when it does not."""
        return self._health.failing_seconds

    @contextmanager
    def place(self, timeout_seconds: float) -> Iterator[None]:
        """Holds a place in the queue while a request's picture is decoded, so that memory is bounded too.

        Raises QueueFullError when there is none, or none whose turn comes in time.
        """
        self._check_room(timeout_seconds)
        self._hold(1)
        try:
            yield
        finally:
            self._hold(-1)

    def _hold(self, change: int) -> None:
        self._held += change
        self._show_depth()

    def _show_depth(self) -> None:
        """Requests that wait, those whose pictures are being decoded included: autoscalers go by it."""
        self._depth.set(len(self._waiting) + self._held)

    def _check_room(self, timeout_seconds: float) -> None:
        """Turns away what there is no room for, and what would be late: to queue it would make others late too.

        A request's own rows do not count, or an idle model would refuse what it has never tried.
        """
        if not self._has_room(timeout_seconds):
            self._drop_lost()
            if not self._has_room(timeout_seconds):
                raise QueueFullError(min(60, max(1, math.ceil(self._seconds_to_wait()))))

    def _has_room(self, timeout_seconds: float) -> bool:
        short = len(self._waiting) + self._held < self._queue_size
        return short and self._seconds_to_wait() <= IN_TIME * timeout_seconds

    def _seconds_to_wait(self) -> float:
        """Until what is queued now has run; who holds a place is taken for a request like those before."""
        return seconds_to_wait(self._pace, self._slots.paces, len(self._slots.all))

    def _waiting_elements(self) -> float:
        return self._waiting.elements + self._held * self._request_elements

    async def submit(self, rows: Rows, timeout_seconds: float, admitted: bool = False) -> Answers:
        """Results of `rows` (n, ...), in order. Raises QueueFullError, DeadlineError or InferenceError.

        `admitted`: the request has just given back its `place`, and is not asked again whether it may come in.
        """
        if not admitted:
            self._check_room(timeout_seconds)
        now, loop = self._clock(), asyncio.get_running_loop()
        entry = Entry(rows, loop.create_future(), now + timeout_seconds, now)
        self._waiting.append(entry)
        self._request_elements += WEIGHT * (rows.size - self._request_elements)
        self._dispatch_soon()
        timer = loop.call_later(timeout_seconds, _expire, entry.future, timeout_seconds)
        try:
            return await entry.future
        finally:
            timer.cancel()
            if entry.left:  # gone or late: it makes room at once
                self._drop_lost()
            del entry  # else a failed future would hold this frame, and the frame the future

    async def _try_out(self) -> None:
        """Goes the way of a request."""
        if self._probe is not None:
            await self.submit(self._probe, PROBE_SECONDS)

    def _dispatch_soon(self) -> None:
        """After the requests that arrived together have all been queued."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        """Starts batches as long as anything waits and a slot is free."""
        self._scheduled = False
        while self._waiting and (slot := self._slots.claim(self._dispatch)):
            self._drop_lost()
            batch = self._compose()
            if not batch:
                self._slots.release(slot)
                continue
            alone = not self._waiting and self._slots.running == 1
            task = asyncio.get_running_loop().create_task(self._serve(slot, batch, alone))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        self._show_depth()

    def _compose(self) -> list[Part]:
        """The next batch; none when nothing waits any more, or when none can be made of the oldest request's shape."""
        if not self._waiting:
            return []
        try:
            batch = self._waiting.compose(self._take)
        except Exception as error:  # whatever the session raises about a shape concerns that shape only
            shape = self._waiting.oldest.shape
            for entry in self._waiting.drop(lambda entry: entry.shape == shape):
                self._fail(entry, error)
            self._health.note(False)
            return []
        now = self._clock()
        for part in batch:
            if part.first == 0:
                waited = now - part.entry.queued_at
                self._waits.observe(waited)
                tracing.record_stage("queue", waited, {"gan.model": self._name}, part.entry.context)
        return batch

    async def _serve(self, slot: Slot, batch: list[Part], alone: bool) -> None:
        try:
            succeeded = await self._execute(slot, batch, alone, inline=True)
            if succeeded is not None:
                self._health.note(succeeded)
        finally:
            self._slots.release(slot)
            self._dispatch()

    async def _execute(self, slot: Slot, batch: list[Part], alone: bool, inline: bool) -> bool | None:
        """Runs a batch and hands out its results; after a failure, request by request: only the culprit fails.

        Returns whether anything succeeded, None when a request that has failed already has failed once more.
        """
        start = self._clock()
        try:
            rows = np.concatenate([part.rows for part in batch]) if len(batch) > 1 else batch[0].rows
            if inline and len(rows) <= self._inline_rows:
                answers = self._run(slot, rows, alone)
            else:
                with self._health.running(batch):
                    loop = asyncio.get_running_loop()
                    answers = await loop.run_in_executor(slot.thread, self._run, slot, rows, alone)
            if len(answers) != len(rows):
                raise ValueError(f"{len(answers)} results of {len(rows)} rows")
        except Exception as error:  # whatever the runtime raises concerns these requests only
            if len(batch) == 1:
                return False if self._fail(batch[0].entry, error) else None
            wanted = [part for part in batch if not part.entry.future.done()]
            # one after the other in a thread: on the event loop they would stop it for as many runs
            return any([await self._execute(slot, [part], alone, inline=False) for part in wanted])
        self._note_run(batch, rows, self._clock() - start)
        first = 0
        for part in batch:
            self._deliver(part, answers[first : first + part.count])
            first += part.count
        return True

    def _note_run(self, batch: list[Part], rows: Rows, seconds: float) -> None:
        self._metrics.batch_ends(self._name, len(rows), seconds)
        self._pace.ran(rows.size, seconds)
        tracing.record_batch(self._name, len(rows), seconds, (part.entry.context for part in batch))

    def _deliver(self, part: Part, answers: Answers) -> None:
        entry = part.entry
        try:
            if part.count == len(entry.rows):
                entry.answers = answers
            else:
                if entry.answers is None:
                    entry.answers = np.empty((len(entry.rows), *answers.shape[1:]), answers.dtype)
                entry.answers[part.first : part.first + part.count] = answers
        except (ValueError, MemoryError) as error:  # parts of different shapes; no room for all of them
            self._fail(entry, error)
            return
        entry.answered += part.count
        if entry.answered == len(entry.rows) and not entry.future.done():
            entry.future.set_result(entry.answers)

    def _fail(self, entry: Entry, error: Exception) -> bool:
        """Its client gets the bare fact; the cause is for the log. What it still has in the queue is dropped there.

        Returns False when it had failed already.
        """
        if entry.failed:
            return False
        entry.failed = True
        text = "%s failed on a request of %s"
        entry.context.run(log.error, text, self._name, entry.rows.shape, exc_info=error)
        self._metrics.inference_failures.labels(self._name, reason_of(error)).inc()
        if not entry.future.done():
            failure = InferenceError(f"{self._name} failed on this request")
            failure.__cause__ = error.with_traceback(None)  # its frames hold the batch, and so the future
            entry.future.set_exception(failure)
        return True

    def _drop_lost(self) -> None:
        """Forgets requests whose client has stopped waiting or whose time is up."""
        now = self._clock()
        if self._waiting.drop(lambda entry: entry.future.done() or entry.deadline <= now):
            self._show_depth()


def _expire(future: asyncio.Future[Answers], seconds: float) -> None:
    if not future.done():
        future.set_exception(DeadlineError(f"no result within {seconds:g} s"))
