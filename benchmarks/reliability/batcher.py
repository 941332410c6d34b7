"""A trial of the batcher by random sequences: every request resolves exactly once, with its own result.

Hypothesis chooses arrivals, cancellations, deadlines, and batches that succeed, fail, or fail on one request, and
shortens what it finds.
"""

import asyncio
import logging
import queue
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from numpy.typing import NDArray

from benchmarks.reliability.report import Finding
from service.engine.batcher import Batcher
from service.engine.queue import DeadlineError, InferenceError, QueueFullError
from service.runtime.slots import Slot, Slots
from service.telemetry.metrics import Metrics

ROOM, QUEUE_SIZE, SLOTS = 4, 6, 2
POISON = 666
PATIENCE_SECONDS = 30.0
STEPS = 40


class ChosenSession:
    """Triples its inputs, batch after batch, when and as it is told to."""

    provider, inline_items = "chosen", 0

    def __init__(self) -> None:
        self.orders: queue.Queue[bool] = queue.Queue()
        """For each batch, whether it succeeds."""

    def batch_size(self, shape: tuple[int, ...], queued: int) -> int:
        """At most ROOM together."""
        return min(queued, ROOM)

    def run(self, slot: Slot, inputs: NDArray[Any], alone: bool) -> NDArray[Any]:
        """Waits for an order. Raises ValueError on POISON, RuntimeError when told to fail."""
        succeeds = self.orders.get(timeout=PATIENCE_SECONDS)
        if (inputs == POISON).any():
            raise ValueError("poison")
        if not succeeds:
            raise RuntimeError("told to fail")
        return inputs * 3


class BatcherMachine(RuleBasedStateMachine):
    """Random sequences of what can happen to a batcher."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.faults: list[str] = []
        self.runner.get_loop().set_exception_handler(lambda loop, context: self.faults.append(str(context)))
        self.session, self.metrics, self.slots = ChosenSession(), Metrics(), Slots(SLOTS)
        self.batcher = self.runner.run(self._make())
        self.requests: list[tuple[NDArray[Any], asyncio.Task[Any]]] = []
        self.cancelled: set[int] = set()
        self.told_to_fail = False

    async def _make(self) -> Batcher:
        return Batcher("m/1", self.session, self.slots, QUEUE_SIZE, self.metrics)

    @rule(count=st.integers(1, 9), poisoned=st.booleans(), seconds=st.sampled_from([0.002, PATIENCE_SECONDS]))
    def arrive(self, count: int, poisoned: bool, seconds: float) -> None:
        """A request of `count` items, perhaps with one on which the model fails."""
        first = 1000 * (len(self.requests) + 1)
        items = np.arange(first, first + count)[:, None]
        if poisoned:
            items[count // 2] = POISON

        async def submit() -> None:
            self.requests.append((items, asyncio.create_task(self.batcher.submit(items, seconds))))
            await asyncio.sleep(0)

        self.runner.run(submit())

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """A client leaves."""
        if self.requests:
            number = data.draw(st.integers(0, len(self.requests) - 1))
            if not self.requests[number][1].done():
                self.cancelled.add(number)
                self.requests[number][1].cancel()
            self.runner.run(asyncio.sleep(0))

    @rule(orders=st.lists(st.booleans(), min_size=1, max_size=4))
    def run(self, orders: list[bool]) -> None:
        """The next batches succeed or fail."""
        for succeeds in orders:
            self.told_to_fail |= not succeeds
            self.session.orders.put(succeeds)
        self.runner.run(asyncio.sleep(0.002))

    @rule()
    def wait(self) -> None:
        """Short deadlines pass."""
        self.runner.run(asyncio.sleep(0.005))

    @invariant()
    def nothing_is_reported_by_the_loop(self) -> None:
        """The loop's handler gets a future that is resolved twice, and an error that is never awaited."""
        assert not self.faults, self.faults

    def teardown(self) -> None:
        """Lets every batch through and checks how each request has ended."""
        try:
            self.runner.run(self._end())
            for number, (items, task) in enumerate(self.requests):
                self._check(number, items, task)
            assert self.slots.running == 0
            assert self.metrics.registry.get_sample_value("gan_queue_depth", {"model": "m/1"}) == 0
            self.nothing_is_reported_by_the_loop()
        finally:
            self.slots.close()
            self.runner.close()

    async def _end(self) -> None:
        for _ in range(10_000):
            self.session.orders.put(True)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*(task for _, task in self.requests), return_exceptions=True)
            await self.batcher.stop()

    def _check(self, number: int, items: NDArray[Any], task: asyncio.Task[Any]) -> None:
        assert task.done(), f"request {number} has not ended"
        if task.cancelled():
            assert number in self.cancelled, f"request {number} was cancelled without a request to"
            return
        error = task.exception()
        if error is None:
            assert (task.result() == items * 3).all(), f"request {number} has another one's result"
            assert not (items == POISON).any()
        elif isinstance(error, InferenceError):
            assert (items == POISON).any() or self.told_to_fail, f"request {number} failed for no reason"
        else:
            assert isinstance(error, DeadlineError | QueueFullError), error


def batcher(folder: Path, short: bool) -> Finding:
    """Random sequences of arrivals, cancellations, deadlines and failures."""
    sequences, failed = 15 if short else 1000, []
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    chosen = settings(
        max_examples=sequences,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=checks,
        phases=[Phase.generate] if short else [Phase.generate, Phase.shrink],
    )
    logging.disable()  # of the failures that are meant to be
    try:
        run_state_machine_as_test(BatcherMachine, settings=chosen)
    except Exception as error:  # a failed check, or what the batcher should not raise
        failed.append(f"{type(error).__name__}: {error}")
    finally:
        logging.disable(logging.NOTSET)
    return Finding(
        "batcher",
        "random arrivals, cancellations, deadlines, and batches that fail; every request must resolve exactly once",
        f"{sequences:,} sequences of up to {STEPS} steps",
        failed,
    )
