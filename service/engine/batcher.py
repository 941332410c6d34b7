"""Runs one model's requests: queues them, composes batches, and returns each request its outputs.

The batcher is work-conserving. While a slot is free, a request starts at once. Requests that arrive while all slots are
taken form the next batch, composed (`service.engine.queue`) at the moment a slot is free.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from service.engine.health import PROBE_SECONDS, Health, failure_reason
from service.engine.queue import DeadlineError, Entry, Inputs, Outputs, Part, QueueFullError, RequestQueue
from service.runtime.devices import Session
from service.runtime.slots import Slot, Slots, WaitEstimator
from service.telemetry import tracing
from service.telemetry.metrics import Metrics

log = logging.getLogger("service")

MAX_WAIT_FRACTION = 0.8
"""Reject a request whose estimated wait exceeds this fraction of its timeout."""
MAX_RETRY_SECONDS = 60
"""Longest time that a rejected client is told to wait."""


class Batcher:
    """Owns a model's queue and its running batches. Call every method on the event loop."""

    def __init__(
        self,
        name: str,
        session: Session,
        slots: Slots,
        queue_size: int,
        metrics: Metrics,
        probe: Inputs | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`slots` are shared with the other models of the device. `queue_size`: most requests in the queue.

        `probe`: inputs on which a working model succeeds.
        """
        self._name, self._session, self._slots, self._queue_size = name, session, slots, queue_size
        self._metrics, self._clock = metrics, clock
        self._depth, self._waits = metrics.queue_depth.labels(name), metrics.queue_seconds.labels(name)
        self._queue, self._shown_depth = RequestQueue(), 0
        self._estimator = WaitEstimator(self._queue.expected_elements)
        slots.register(self._estimator)
        self._health, self._probe = Health(self._run_probe, clock), probe
        self._running: set[asyncio.Task[None]] = set()
        self._scheduled = False

    async def stop(self) -> None:
        """Finishes the accepted requests."""
        self._health.stop()
        while self._queue or self._running:
            if self._running:
                await asyncio.wait(self._running)
            else:  # other models have all slots
                await asyncio.sleep(0.01)

    def close(self) -> None:
        """Frees the session of a batcher that has stopped; no request may come any more."""
        self._slots.unregister(self._estimator)
        del self._session

    @property
    def failing_seconds(self) -> float | None:
        """How long the model itself has been failing, for example after losing its GPU; None when it works."""
        return self._health.failing_seconds

    def check_room(self, timeout_seconds: float) -> None:
        """Raises QueueFullError when the queue is full, or when a request would wait too long for its timeout.

        A late request in the queue would make others late too. The estimate leaves out the request's own items: an
        idle model must not refuse a request that it has never tried.
        """
        if not self._has_room(timeout_seconds):
            self._drop_lost()
            if not self._has_room(timeout_seconds):
                seconds = math.ceil(self._slots.seconds_to_wait(self._estimator))
                raise QueueFullError(min(MAX_RETRY_SECONDS, max(1, seconds)))

    @contextmanager
    def reserve(self, timeout_seconds: float) -> Iterator[None]:
        """Holds a place in the queue while a request's image is decoded, which bounds the memory of decoded images.

        Raises QueueFullError like `check_room`.
        """
        self.check_room(timeout_seconds)
        self._change_reserved(1)
        try:
            yield
        finally:
            self._change_reserved(-1)

    async def submit(self, inputs: Inputs, timeout_seconds: float, reserved: bool = False) -> Outputs:
        """Returns the outputs of `inputs` (n, ...), in order. Raises QueueFullError, DeadlineError or InferenceError.

        `reserved`: the request has just returned its reservation, so its room is not checked again.
        """
        if not reserved:
            self.check_room(timeout_seconds)
        now, loop = self._clock(), asyncio.get_running_loop()
        entry = Entry(inputs, loop.create_future(), now + timeout_seconds, now)
        self._queue.append(entry)
        self._dispatch_soon()
        timer = loop.call_later(timeout_seconds, _expire, entry.future, timeout_seconds)
        try:
            return await entry.future
        finally:
            timer.cancel()
            if entry.left:  # cancelled or late: makes room at once
                self._drop_lost()
            del entry  # a failed future would hold this frame, and the frame the future

    def _has_room(self, timeout_seconds: float) -> bool:
        has_place = self._queue.depth < self._queue_size
        return has_place and self._slots.seconds_to_wait(self._estimator) <= MAX_WAIT_FRACTION * timeout_seconds

    def _change_reserved(self, change: int) -> None:
        self._queue.reserved += change
        self._show_depth()

    def _show_depth(self) -> None:
        """Adds to the queue's gauge, which autoscalers use; reservations count.

        While a version is replaced, the old batcher and the new one share the gauge.
        """
        depth = self._queue.depth
        self._depth.inc(depth - self._shown_depth)
        self._shown_depth = depth

    def _dispatch_soon(self) -> None:
        """Schedules a dispatch for after all requests that arrived together are queued."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        """Starts batches while the queue is not empty and a slot is free."""
        self._scheduled = False
        while self._queue and (slot := self._slots.claim(self._dispatch)):
            self._drop_lost()
            batch = self._compose()
            if not batch:
                self._slots.release(slot)
                continue
            alone = not self._queue and self._slots.running == 1
            task = asyncio.get_running_loop().create_task(self._serve(slot, batch, alone))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        self._show_depth()

    def _compose(self) -> list[Part]:
        """Takes the next batch from the queue. Empty when the queue is, or when the oldest request's shape fails."""
        if not self._queue:
            return []
        try:
            batch = self._queue.compose(self._session.batch_size)
        except Exception as error:  # what the session raises about a shape concerns only that shape
            shape = self._queue.oldest.shape
            for entry in self._queue.drop(lambda entry: entry.shape == shape):
                self._fail(entry, error)
            self._health.record(False)
            return []
        now = self._clock()
        for part in batch:
            if part.first == 0:
                waited = now - part.entry.queued_at
                self._waits.observe(waited)
                if part.entry.stages is not None:
                    part.entry.stages.queue += waited
                tracing.record_stage("queue", waited, {"gan.model": self._name}, part.entry.context)
        return batch

    async def _serve(self, slot: Slot, batch: list[Part], alone: bool) -> None:
        """Runs a batch in its slot, then returns the slot."""
        try:
            succeeded = await self._execute(slot, batch, alone, inline=True)
            if succeeded is not None:
                self._health.record(succeeded)
        finally:
            self._slots.release(slot)
            self._dispatch()

    async def _execute(self, slot: Slot, batch: list[Part], alone: bool, inline: bool) -> bool | None:
        """Runs a batch and hands out its outputs. A batch that fails is run again request by request.

        Returns whether any request succeeded; None when the only one had failed before.
        """
        start = self._clock()
        try:
            inputs = np.concatenate([part.inputs for part in batch]) if len(batch) > 1 else batch[0].inputs
            if inline and len(inputs) <= self._session.inline_items:
                outputs = self._session.run(slot, inputs, alone)
            else:
                with self._health.running(batch):
                    loop = asyncio.get_running_loop()
                    outputs = await loop.run_in_executor(slot.thread, self._session.run, slot, inputs, alone)
            if len(outputs) != len(inputs):
                raise ValueError(f"{len(outputs)} outputs of {len(inputs)} items")
        except Exception as error:  # what the runtime raises concerns only these requests
            if len(batch) == 1:
                return False if self._fail(batch[0].entry, error) else None
            remaining = [part for part in batch if not part.entry.future.done()]
            # one after the other in a thread: on the event loop they would stop it for as many runs
            return any([await self._execute(slot, [part], alone, inline=False) for part in remaining])
        self._record_run(batch, inputs, self._clock() - start)
        first = 0
        for part in batch:
            try:
                part.entry.add(part.first, outputs[first : first + part.count])
            except (ValueError, MemoryError) as error:
                self._fail(part.entry, error)
            first += part.count
        return True

    def _record_run(self, batch: list[Part], inputs: Inputs, seconds: float) -> None:
        self._metrics.batch_ends(self._name, len(inputs), seconds)
        self._estimator.record(inputs.size, seconds)
        for part in batch:
            if part.entry.stages is not None:
                part.entry.stages.inference += seconds
        tracing.record_batch(self._name, len(inputs), seconds, (part.entry.context for part in batch))

    def _fail(self, entry: Entry, error: Exception) -> bool:
        """Fails a request and logs the cause; `_drop_lost` removes its queued rest. Returns False if it had failed."""
        if entry.failed:
            return False
        text = "%s failed on a request of %s"
        entry.context.run(log.error, text, self._name, entry.inputs.shape, exc_info=error)
        self._metrics.inference_failures.labels(self._name, failure_reason(error)).inc()
        entry.fail(self._name, error)
        return True

    def _drop_lost(self) -> None:
        """Removes requests whose client has left or whose deadline has passed."""
        now = self._clock()
        if self._queue.drop(lambda entry: entry.future.done() or entry.deadline <= now):
            self._show_depth()

    async def _run_probe(self) -> None:
        """Runs the probe the way a request runs."""
        if self._probe is not None:
            await self.submit(self._probe, PROBE_SECONDS)


def _expire(future: asyncio.Future[Outputs], seconds: float) -> None:
    if not future.done():
        future.set_exception(DeadlineError(f"no result within {seconds:g} s"))
