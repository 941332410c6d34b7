import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine import health
from service.engine.batcher import Batcher
from service.engine.health import FAILURES_IN_A_ROW, HANG_SECONDS
from service.engine.queue import BatchSizePolicy, DeadlineError, InferenceError, QueueFullError
from service.runtime.slots import RECENT_BATCHES, Slot, Slots
from service.telemetry.metrics import Metrics

pytestmark = pytest.mark.anyio

ROOM = 4
QUEUE_SIZE = 6
POISON = -666


def up_to_room(shape: tuple[int, ...], queued: int) -> int:
    return min(queued, ROOM)


@dataclass
class FunctionSession:
    """A session that runs a function."""

    run: Callable[[Slot, np.ndarray, bool], np.ndarray]
    batch_size: BatchSizePolicy = up_to_room
    inline_items: int = 0
    provider: str = "a function"


#: What a test waits for at most before it fails.
PATIENCE_S = 30.0


class Latched:
    """A session that triples its inputs, once the latch has let the batch through."""

    provider, inline_items = "a latch", 0

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        """The first value of every row, batch by batch."""
        self.alone: list[bool] = []
        """Whether each batch was said to run alone."""
        self.clock = 0.0
        """The batcher's clock; tests set it."""
        self._entered, self._permits = threading.Semaphore(0), threading.Semaphore(0)

    def batch_size(self, shape: tuple[int, ...], queued: int) -> int:
        return up_to_room(shape, queued)

    def run(self, slot: Slot, rows: np.ndarray, alone: bool) -> np.ndarray:
        self.batches.append(rows[:, 0].tolist())
        self.alone.append(alone)
        self._entered.release()
        assert self._permits.acquire(timeout=PATIENCE_S)
        if (rows == POISON).any():
            raise ValueError("poison")
        return rows * 3

    async def entered(self) -> list[int]:
        """Waits for the next batch to be at the latch, and returns it."""
        assert await asyncio.to_thread(self._entered.acquire, timeout=PATIENCE_S)
        return self.batches[-1]

    def let_through(self, batches: int = 1) -> None:
        for _ in range(batches):
            self._permits.release()


@pytest.fixture
def model() -> Latched:
    return Latched()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def depth(metrics: Metrics) -> Callable[[], float | None]:
    return lambda: metrics.registry.get_sample_value("gan_queue_depth", {"model": "m/1"})


@pytest.fixture
def slots() -> Iterator[Slots]:
    slots = Slots(1)
    yield slots
    slots.close()


@pytest.fixture
async def batcher(model: Latched, slots: Slots, metrics: Metrics) -> AsyncIterator[Batcher]:
    batcher = Batcher("m/1", model, slots, QUEUE_SIZE, metrics, clock=lambda: model.clock)
    yield batcher
    model.let_through(10_000)
    await batcher.stop()


Task = asyncio.Task[np.ndarray]
Submit = Callable[..., Awaitable[Task]]


def rows_of(values: tuple[int, ...] | range, width: int = 1) -> np.ndarray:
    return np.repeat(np.array(values)[:, None], width, axis=1)


@pytest.fixture
def submit(batcher: Batcher) -> Submit:
    """`await submit(*values, width=1, seconds=30)`: one request, a row a value, queued when this returns."""

    async def queue(*values: int, width: int = 1, seconds: float = PATIENCE_S) -> Task:
        task = asyncio.create_task(batcher.submit(rows_of(values, width), seconds))
        await asyncio.sleep(0)  # the task runs until it waits for its result
        await asyncio.sleep(0)  # what is free takes it
        return task

    return queue


@pytest.fixture
async def busy(model: Latched, submit: Submit) -> Task:
    """The model is running a first request, [0], so that others wait."""
    task = await submit(0)
    assert await model.entered() == [0]
    return task


async def test_a_lone_request_starts_at_once(model: Latched, submit: Submit) -> None:
    task = await submit(1, 2)
    assert await model.entered() == [1, 2]
    model.let_through()
    assert (await task).tolist() == [[3], [6]]


@pytest.mark.usefixtures("busy")
async def test_requests_that_wait_together_run_together(model: Latched, submit: Submit) -> None:
    tasks = [await submit(1), await submit(2), await submit(3)]
    model.let_through()
    assert await model.entered() == [1, 2, 3]
    model.let_through()
    assert [(await task).tolist() for task in tasks] == [[[3]], [[6]], [[9]]]


@pytest.mark.usefixtures("busy")
async def test_a_batch_has_at_most_max_rows(model: Latched, submit: Submit) -> None:
    for value in range(1, 7):
        await submit(value)
    model.let_through(2)
    await model.entered()
    await model.entered()
    assert model.batches == [[0], [1, 2, 3, 4], [5, 6]]


@pytest.mark.usefixtures("busy")
async def test_small_requests_run_whole_and_a_large_one_takes_what_is_left(model: Latched, submit: Submit) -> None:
    large, small = await submit(*range(10, 16)), await submit(20)
    model.let_through(3)
    assert (await large).ravel().tolist() == [3 * value for value in range(10, 16)]
    assert (await small).tolist() == [[60]]
    assert model.batches == [[0], [20, 10, 11, 12], [13, 14, 15]]


@pytest.mark.usefixtures("busy")
async def test_large_requests_share_a_batch_equally(model: Latched, submit: Submit) -> None:
    tasks = [await submit(10, 11, 12), await submit(20, 21, 22)]
    model.let_through(3)
    await asyncio.gather(*tasks)
    assert model.batches == [[0], [10, 11, 20, 21], [12, 22]]


@pytest.mark.usefixtures("busy")
async def test_shapes_never_mix_and_the_oldest_goes_first(model: Latched, submit: Submit) -> None:
    tasks = [await submit(1, width=2), await submit(2, width=3), await submit(3, width=2)]
    model.let_through(3)
    assert [(await task).tolist() for task in tasks] == [[[3, 3]], [[6, 6, 6]], [[9, 9]]]
    assert model.batches == [[0], [1, 3], [2]]


async def test_a_request_of_1024_rows_delays_one_row_by_no_more_than_the_batch_that_runs(
    model: Latched, submit: Submit
) -> None:
    large = await submit(*range(1024))
    await model.entered()
    small = await submit(5000)
    model.let_through()
    assert 5000 in await model.entered()
    model.let_through()
    assert (await small).tolist() == [[15000]]
    model.let_through(300)
    assert (await large).ravel().tolist() == [3 * value for value in range(1024)]


@pytest.mark.usefixtures("busy")
async def test_a_full_queue_turns_a_request_away(submit: Submit, batcher: Batcher) -> None:
    for value in range(1, QUEUE_SIZE + 1):
        await submit(value)
    with pytest.raises(QueueFullError) as caught:
        await batcher.submit(rows_of((7,)), PATIENCE_S)
    assert caught.value.retry_after_seconds >= 1
    with pytest.raises(QueueFullError), batcher.reserve(PATIENCE_S):
        pass


@pytest.mark.usefixtures("busy")
async def test_a_held_place_counts_until_it_is_given_back(submit: Submit, batcher: Batcher) -> None:
    with batcher.reserve(PATIENCE_S):
        for value in range(1, QUEUE_SIZE):
            await submit(value)
        with pytest.raises(QueueFullError):
            await batcher.submit(rows_of((7,)), PATIENCE_S)
    await submit(8)
    with pytest.raises(QueueFullError), batcher.reserve(PATIENCE_S):
        pass


async def test_a_place_is_given_back_after_an_error(batcher: Batcher) -> None:
    for _ in range(2 * QUEUE_SIZE):
        with pytest.raises(ValueError, match="broken"), batcher.reserve(PATIENCE_S):
            raise ValueError("broken")


@pytest.mark.usefixtures("busy")
async def a_second_a_row(model: Latched, submit: Submit, seconds: float = 1.0) -> None:
    """Batches of one row, until the pace is theirs."""
    for _ in range(RECENT_BATCHES):
        task = await submit(0)
        await model.entered()
        model.clock += seconds
        model.let_through()
        await task


async def test_retry_after_is_the_time_that_the_waiting_rows_take(
    model: Latched, submit: Submit, batcher: Batcher
) -> None:
    await a_second_a_row(model, submit)
    blocker = await submit(*range(8))
    assert len(await model.entered()) == ROOM
    for _ in range(QUEUE_SIZE - 1):
        await submit(1, 2)
    assert not blocker.done()
    with pytest.raises(QueueFullError) as caught, batcher.reserve(PATIENCE_S):
        pass  # 4 rows of the blocker and 5 times 2, a second each
    assert caught.value.retry_after_seconds == 14


async def test_a_request_whose_turn_would_come_too_late_is_turned_away_at_once(
    model: Latched, submit: Submit, batcher: Batcher
) -> None:
    await a_second_a_row(model, submit)
    await submit(*range(4))
    await model.entered()
    await submit(*range(100, 108))
    with pytest.raises(QueueFullError) as caught, batcher.reserve(9.9):
        pass  # 8 rows wait, 8 s are more than four fifths of its time
    assert caught.value.retry_after_seconds == 8
    with batcher.reserve(10.1):
        pass


async def test_retry_after_is_at_most_a_minute(model: Latched, submit: Submit, batcher: Batcher) -> None:
    await a_second_a_row(model, submit, seconds=100.0)
    await submit(1)
    await model.entered()
    await submit(1)
    with pytest.raises(QueueFullError) as caught, batcher.reserve(PATIENCE_S):
        pass
    assert caught.value.retry_after_seconds == 60


@pytest.mark.usefixtures("busy")
async def test_a_cancelled_request_leaves_the_queue_and_the_others_stay(
    model: Latched, submit: Submit, batcher: Batcher, depth: Callable[[], float]
) -> None:
    tasks = [await submit(1), await submit(2), await submit(3)]
    tasks[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
    assert depth() == 2
    with batcher.reserve(PATIENCE_S):  # for an image that is being decoded
        assert depth() == 3
    assert depth() == 2
    model.let_through(2)
    assert [(await tasks[i]).tolist() for i in (0, 2)] == [[[3]], [[9]]]
    assert model.batches == [[0], [1, 3]]


@pytest.mark.usefixtures("busy")
async def test_a_request_cancelled_while_it_runs_does_not_disturb_its_batch(model: Latched, submit: Submit) -> None:
    lost, kept = await submit(1), await submit(2)
    model.let_through()
    assert await model.entered() == [1, 2]
    lost.cancel()
    model.let_through()
    assert (await kept).tolist() == [[6]]


@pytest.mark.usefixtures("busy")
async def test_a_cancelled_large_request_stops_running(model: Latched, submit: Submit) -> None:
    large = await submit(*range(10, 30))
    model.let_through()
    assert await model.entered() == [10, 11, 12, 13]
    large.cancel()
    after = await submit(1)
    model.let_through(2)
    assert (await after).tolist() == [[3]]
    assert model.batches == [[0], [10, 11, 12, 13], [1]]


@pytest.mark.usefixtures("busy")
async def test_a_request_past_its_deadline_fails_and_never_runs(
    model: Latched, submit: Submit, batcher: Batcher, depth: Callable[[], float]
) -> None:
    late = await submit(1, seconds=0.01)
    with pytest.raises(DeadlineError, match=r"0\.01 s"):
        await late
    model.let_through()
    await batcher.stop()
    assert model.batches == [[0]]
    assert depth() == 0


@pytest.mark.usefixtures("busy")
async def test_a_request_whose_time_is_up_makes_room(model: Latched, submit: Submit, batcher: Batcher) -> None:
    for value in range(QUEUE_SIZE):
        await submit(value, seconds=20.0)
    model.clock = 20.0
    with batcher.reserve(PATIENCE_S):
        pass


async def test_a_deadline_during_the_run_fails_too(submit: Submit, model: Latched) -> None:
    task = await submit(1, seconds=0.01)
    assert await model.entered() == [1]
    with pytest.raises(DeadlineError):
        await task


@pytest.mark.usefixtures("busy")
async def test_a_poison_row_fails_only_its_own_request(model: Latched, submit: Submit) -> None:
    before, poisoned, after = await submit(1), await submit(2, POISON), await submit(3)
    model.let_through(10)
    assert [(await task).tolist() for task in (before, after)] == [[[3]], [[9]]]
    with pytest.raises(InferenceError) as caught:
        await poisoned
    assert isinstance(caught.value.__cause__, ValueError)
    assert "poison" not in str(caught.value)


async def test_a_large_request_that_fails_leaves_the_queue(
    model: Latched, submit: Submit, depth: Callable[[], float]
) -> None:
    poisoned = await submit(POISON, *range(20))
    model.let_through(1)
    with pytest.raises(InferenceError):
        await poisoned
    assert depth() == 0
    assert model.batches == [[POISON, 0, 1, 2]]


@pytest.mark.parametrize("output", [None, np.zeros((1, 1)), np.zeros((3, 1))])
async def test_an_output_that_is_none_fails_its_request_and_the_batcher_lives(
    monkeypatch: pytest.MonkeyPatch, model: Latched, submit: Submit, output: object
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(model, "run", lambda slot, rows, alone: output)
        with pytest.raises(InferenceError):
            await (await submit(1, 2))
    monkeypatch.setattr(model, "run", lambda slot, rows, alone: rows)
    assert (await (await submit(5))).tolist() == [[5]]


async def test_the_log_has_the_cause_of_a_failure(
    model: Latched, submit: Submit, caplog: pytest.LogCaptureFixture
) -> None:
    model.let_through()
    with pytest.raises(InferenceError):
        await (await submit(POISON))
    assert "m/1 failed" in caplog.text
    assert "ValueError: poison" in caplog.text


async def test_failures_in_a_row_mark_the_model_and_a_success_clears_it(
    model: Latched, submit: Submit, batcher: Batcher
) -> None:
    model.let_through(100)
    marks = []
    for value in [POISON] * (FAILURES_IN_A_ROW - 1) + [1] + [POISON] * FAILURES_IN_A_ROW + [2]:
        await asyncio.gather(await submit(value), return_exceptions=True)
        marks.append(batcher.failing_seconds is not None)
    assert marks == [False] * (2 * FAILURES_IN_A_ROW - 1) + [True, False]


async def test_how_long_the_model_has_failed_is_told(model: Latched, submit: Submit, batcher: Batcher) -> None:
    model.let_through(100)
    for second in range(FAILURES_IN_A_ROW + 3):
        model.clock = float(second)
        await asyncio.gather(await submit(POISON), return_exceptions=True)
        await asyncio.sleep(0)
    assert batcher.failing_seconds == 3


@pytest.mark.usefixtures("busy")
async def test_a_batch_counts_once_and_not_when_any_of_it_succeeded(
    model: Latched, submit: Submit, batcher: Batcher
) -> None:
    poisoned = [await submit(POISON) for _ in range(QUEUE_SIZE)]
    model.let_through(100)
    await asyncio.gather(*poisoned, return_exceptions=True)
    assert len(poisoned) >= FAILURES_IN_A_ROW
    assert batcher.failing_seconds is None


async def test_the_model_serves_on_after_a_failure(model: Latched, submit: Submit) -> None:
    model.let_through(2)
    with pytest.raises(InferenceError):
        await (await submit(POISON))
    assert (await (await submit(2))).tolist() == [[6]]


@pytest.mark.usefixtures("busy")
async def test_stop_finishes_what_was_accepted(model: Latched, submit: Submit, batcher: Batcher) -> None:
    tasks = [await submit(*range(10, 17)), await submit(1, width=2), await submit(2)]
    stopping = asyncio.create_task(batcher.stop())
    model.let_through(100)
    await stopping
    assert [task.done() for task in tasks] == [True, True, True]
    assert (await tasks[0]).ravel().tolist() == [3 * value for value in range(10, 17)]


async def test_stop_of_an_idle_batcher_ends(batcher: Batcher) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await batcher.stop()


@pytest.mark.usefixtures("busy")
async def test_depth_counts_the_requests_that_wait(
    model: Latched, submit: Submit, batcher: Batcher, depth: Callable[[], float]
) -> None:
    assert depth() == 0
    await submit(1, 2, 3)
    await submit(4)
    assert depth() == 2
    model.let_through(2)
    await batcher.stop()
    assert depth() == 0


@pytest.mark.usefixtures("busy")
async def test_metrics_tell_batch_sizes_waits_and_failures(
    model: Latched, metrics: Metrics, submit: Submit, batcher: Batcher
) -> None:
    good, poisoned, late = await submit(1, 2), await submit(POISON, width=2), await submit(9, seconds=0.01)
    with pytest.raises(DeadlineError):
        await late
    model.let_through(10)
    await asyncio.gather(good, poisoned, return_exceptions=True)
    await batcher.stop()

    def sample(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, {"model": "m/1", **labels})

    assert sample("gan_batch_items_count") == 2
    assert sample("gan_batch_items_sum") == 3
    assert sample("gan_queue_duration_seconds_count") == 3
    assert sample("gan_inference_failures_total", reason="other") == 1


#: (rows, width of a row, whether the client leaves, batches let through meanwhile)
REQUESTS = st.tuples(st.integers(1, 9), st.integers(1, 3), st.sampled_from([False, False, True]), st.integers(0, 2))


@settings(deadline=None, max_examples=60)
@given(requests=st.lists(REQUESTS, min_size=1, max_size=30), room=st.integers(1, 8), n_slots=st.integers(1, 3))
def test_every_request_gets_its_own_rows_once(
    requests: list[tuple[int, int, bool, int]], room: int, n_slots: int
) -> None:
    model = Latched()

    def policy(shape: tuple[int, ...], queued: int) -> int:
        return min(queued, room)

    async def scenario() -> list[np.ndarray | BaseException]:
        slots = Slots(n_slots)
        batcher = Batcher("m/1", FunctionSession(model.run, policy), slots, 1000, Metrics())
        tasks, first = [], 0
        for rows, width, _, batches in requests:
            values = rows_of(range(first, first + rows), width)
            tasks.append(asyncio.create_task(batcher.submit(values, PATIENCE_S)))
            await asyncio.sleep(0)
            model.let_through(batches)
            first += rows
        for task, (_, _, leaves, _) in zip(tasks, requests, strict=True):
            if leaves:
                task.cancel()
        model.let_through(1000)
        outputs = await asyncio.gather(*tasks, return_exceptions=True)
        await batcher.stop()
        slots.close()
        return outputs

    outputs = asyncio.run(scenario())
    runs = Counter(value for batch in model.batches for value in batch)
    assert max(map(len, model.batches), default=0) <= room
    first = 0
    for output, (rows, width, leaves, _) in zip(outputs, requests, strict=True):
        values = range(first, first + rows)
        first += rows
        if leaves and isinstance(output, asyncio.CancelledError):
            assert all(runs[value] <= 1 for value in values)
        else:
            assert isinstance(output, np.ndarray), output
            assert output.tolist() == (3 * rows_of(values, width)).tolist()
            assert [runs[value] for value in values] == [1] * rows


@pytest.fixture
async def pair(model: Latched, metrics: Metrics) -> AsyncIterator[tuple[Batcher, Slots]]:
    """A batcher that may run two batches at once."""
    slots = Slots(2)
    batcher = Batcher("m/1", model, slots, QUEUE_SIZE, metrics)
    yield batcher, slots
    model.let_through(10_000)
    await batcher.stop()
    slots.close()


async def begin(batcher: Batcher, *values: int) -> Task:
    task = asyncio.create_task(batcher.submit(rows_of(values), PATIENCE_S))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


async def test_batchers_of_one_name_share_its_gauge(
    model: Latched, slots: Slots, metrics: Metrics, depth: Callable[[], float | None]
) -> None:
    """As while a version is replaced by other files of its name."""
    old, new = (Batcher("m/1", model, slots, QUEUE_SIZE, metrics) for _ in range(2))
    tasks = [await begin(batcher, 1) for batcher in (old, old, new)]
    await model.entered()
    assert depth() == 2
    model.let_through(3)
    await asyncio.gather(*tasks)
    for batcher in (old, new):
        await batcher.stop()
    assert depth() == 0
    old.close()
    model.let_through()
    assert (await new.submit(rows_of((5,)), PATIENCE_S)).tolist() == [[15]]
    await new.stop()


async def test_requests_that_arrive_together_run_together_on_an_idle_model(model: Latched, batcher: Batcher) -> None:
    tasks = [asyncio.create_task(batcher.submit(rows_of((value,)), PATIENCE_S)) for value in (1, 2, 3)]
    assert await model.entered() == [1, 2, 3]
    model.let_through()
    assert [(await task).tolist() for task in tasks] == [[[3]], [[6]], [[9]]]


async def test_a_batch_of_few_rows_runs_on_the_event_loop_and_a_larger_one_does_not(
    slots: Slots, metrics: Metrics
) -> None:
    threads: dict[int, int] = {}

    def run(slot: Slot, rows: np.ndarray, alone: bool) -> np.ndarray:
        threads[len(rows)] = threading.get_ident()
        if (rows == POISON).any():
            raise ValueError("poison")
        return rows * 3

    batcher = Batcher("m/1", FunctionSession(run, inline_items=2), slots, QUEUE_SIZE, metrics)
    assert (await batcher.submit(rows_of((1, 2)), PATIENCE_S)).tolist() == [[3], [6]]
    assert (await batcher.submit(rows_of((1, 2, 3)), PATIENCE_S)).tolist() == [[3], [6], [9]]
    assert threads[2] == threading.get_ident() != threads[3]
    with pytest.raises(InferenceError):
        await batcher.submit(rows_of((POISON,)), PATIENCE_S)
    assert (await batcher.submit(rows_of((5,)), PATIENCE_S)).tolist() == [[15]]


async def test_a_second_slot_takes_what_arrives_while_the_first_runs(
    model: Latched, pair: tuple[Batcher, Slots]
) -> None:
    batcher, _ = pair
    tasks = [await begin(batcher, 1)]
    await model.entered()
    tasks += [await begin(batcher, 2)]
    await model.entered()
    tasks += [await begin(batcher, 3), await begin(batcher, 4)]
    assert sorted(model.batches) == [[1], [2]]
    model.let_through()
    assert await model.entered() == [3, 4]
    model.let_through(2)
    assert [(await task).tolist() for task in tasks] == [[[3]], [[6]], [[9]], [[12]]]


async def test_a_batch_is_alone_when_nothing_else_runs_or_waits(model: Latched, pair: tuple[Batcher, Slots]) -> None:
    batcher, _ = pair
    first = await begin(batcher, 1)
    await model.entered()
    second = await begin(batcher, 2)
    await model.entered()
    model.let_through(2)
    await asyncio.gather(first, second)
    third = await begin(batcher, *range(6))  # more than a batch: its rest waits
    await model.entered()
    model.let_through(2)
    await third
    assert model.alone == [True, False, False, False]


async def test_parts_of_a_request_that_end_out_of_order_are_put_together_in_order(metrics: Metrics) -> None:
    slots, release = Slots(2), threading.Event()

    def first_batch_last(slot: Slot, rows: np.ndarray, alone: bool) -> np.ndarray:
        if rows[0, 0] == 0:
            assert release.wait(PATIENCE_S)
        elif rows[-1, 0] == 9:
            release.set()
        return rows * 3

    batcher = Batcher("m/1", FunctionSession(first_batch_last), slots, QUEUE_SIZE, metrics)
    assert (await batcher.submit(rows_of(range(10)), PATIENCE_S)).ravel().tolist() == [3 * n for n in range(10)]
    await batcher.stop()
    slots.close()


async def test_models_that_share_a_slot_take_turns(model: Latched, slots: Slots, metrics: Metrics) -> None:
    one, other = (Batcher(name, model, slots, QUEUE_SIZE, metrics) for name in ("one", "other"))
    tasks = [await begin(one, *range(12))]  # three batches
    await model.entered()
    tasks += [await begin(other, *range(100, 108))]  # two
    for _ in range(4):
        model.let_through()
        await model.entered()
    model.let_through()
    await asyncio.gather(*tasks)
    # the first asked for its second batch before the other came: from then on they alternate
    assert [batch[0] for batch in model.batches] == [0, 4, 100, 8, 104]
    for batcher in (one, other):
        await batcher.stop()


async def test_stop_waits_for_a_slot_that_another_model_has(model: Latched, slots: Slots, metrics: Metrics) -> None:
    one, other = (Batcher(name, model, slots, QUEUE_SIZE, metrics) for name in ("one", "other"))
    tasks = [await begin(one, 1)]
    await model.entered()
    tasks += [await begin(other, 2)]
    stopping = asyncio.create_task(other.stop())
    await asyncio.sleep(0.05)
    assert not stopping.done()
    model.let_through(2)
    await stopping
    assert [(await task).tolist() for task in tasks] == [[[3]], [[6]]]
    await one.stop()


async def test_a_request_with_a_reservation_is_not_rejected(model: Latched, submit: Submit, batcher: Batcher) -> None:
    await a_second_a_row(model, submit)
    await submit(*range(4))
    await model.entered()
    with batcher.reserve(2.0):
        await submit(*range(100, 108))  # seen later, with more time
    with pytest.raises(QueueFullError):
        await batcher.submit(rows_of((7,)), 2.0)
    admitted = asyncio.create_task(batcher.submit(rows_of((7,)), 2.0, reserved=True))
    model.let_through(10)
    assert (await admitted).tolist() == [[21]]


async def test_a_place_is_judged_by_the_pixels_that_wait(model: Latched, submit: Submit, batcher: Batcher) -> None:
    for width in (1, 10) * 10:  # an element takes a second, in rows of one as in rows of ten
        task = await submit(1, width=width)
        await model.entered()
        model.clock += width
        model.let_through()
        await task
    await submit(0)
    await model.entered()
    await submit(1, width=30)
    with pytest.raises(QueueFullError), batcher.reserve(30.0):
        pass  # 30 elements wait: one row, which by rows would be five seconds


async def test_a_reservation_accounts_for_other_models(model: Latched, slots: Slots, metrics: Metrics) -> None:
    one, other = (
        Batcher(name, model, slots, QUEUE_SIZE, metrics, clock=lambda: model.clock) for name in ("one", "other")
    )
    for _ in range(RECENT_BATCHES):
        first = await begin(other, 1)
        await model.entered()
        model.clock += 10.0
        model.let_through()
        await first
    tasks = [await begin(other, *range(8))]
    await model.entered()
    with pytest.raises(QueueFullError), one.reserve(10.0):
        pass  # of `one` nothing waits, but a batch of the other comes first
    with one.reserve(30.0):
        pass
    model.let_through(10)
    await asyncio.gather(*tasks)
    for batcher in (one, other):
        await batcher.stop()


async def test_after_a_failure_requests_are_tried_again_in_a_thread(slots: Slots, metrics: Metrics) -> None:
    threads: list[tuple[int, bool]] = []

    def run(slot: Slot, rows: np.ndarray, alone: bool) -> np.ndarray:
        threads.append((len(rows), threading.get_ident() == loop_thread))
        if (rows == POISON).any():
            raise ValueError("poison")
        return rows * 3

    loop_thread = threading.get_ident()
    batcher = Batcher("m/1", FunctionSession(run, inline_items=4), slots, QUEUE_SIZE, metrics)
    tasks = [asyncio.create_task(batcher.submit(rows_of((value,)), PATIENCE_S)) for value in (1, POISON, 3)]
    await asyncio.gather(*tasks, return_exceptions=True)
    assert threads == [(3, True), (1, False), (1, False), (1, False)]
    assert [(await tasks[i]).tolist() for i in (0, 2)] == [[[3]], [[9]]]


async def test_a_shape_that_no_batch_can_be_made_of_fails_and_frees_its_slot(
    model: Latched, slots: Slots, metrics: Metrics
) -> None:
    def policy(shape: tuple[int, ...], queued: int) -> int:
        if shape == (2,):
            raise ValueError("no such shape")
        return queued

    batcher = Batcher("m/1", FunctionSession(model.run, policy), slots, QUEUE_SIZE, metrics)
    model.let_through(10)
    wrong = asyncio.create_task(batcher.submit(rows_of((1,), 2), PATIENCE_S))
    right = asyncio.create_task(batcher.submit(rows_of((1,)), PATIENCE_S))
    with pytest.raises(InferenceError):
        await wrong
    assert (await right).tolist() == [[3]]
    await batcher.stop()
    assert slots.running == 0


async def test_parts_of_different_shapes_fail_their_request_and_free_the_slot(slots: Slots, metrics: Metrics) -> None:
    widths = iter((1, 2))

    def run(slot: Slot, rows: np.ndarray, alone: bool) -> np.ndarray:
        return np.zeros((len(rows), next(widths)))

    batcher = Batcher("m/1", FunctionSession(run), slots, QUEUE_SIZE, metrics)
    with pytest.raises(InferenceError):
        await batcher.submit(rows_of(range(ROOM + 2)), PATIENCE_S)
    await batcher.stop()
    assert slots.running == 0


async def test_a_request_that_fails_in_two_batches_has_failed_once(
    model: Latched, pair: tuple[Batcher, Slots], metrics: Metrics
) -> None:
    batcher, _ = pair
    for requests in range(1, FAILURES_IN_A_ROW + 1):  # each in two batches side by side, of which one counts
        task = await begin(batcher, *[POISON] * 2 * ROOM)
        await model.entered()
        await model.entered()
        model.let_through(2)
        with pytest.raises(InferenceError):
            await task
        await asyncio.sleep(0.05)
        counted = metrics.registry.get_sample_value("gan_inference_failures_total", {"model": "m/1", "reason": "other"})
        assert counted == requests
        assert (batcher.failing_seconds is None) == (requests < FAILURES_IN_A_ROW)


async def test_a_broken_model_finds_itself_well_again_without_requests(
    model: Latched, slots: Slots, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PROBE_SECONDS", 0.01)
    batcher = Batcher("m/1", model, slots, QUEUE_SIZE, metrics, probe=rows_of((7,)))
    model.let_through(1000)
    for _ in range(FAILURES_IN_A_ROW):
        with pytest.raises(InferenceError):
            await batcher.submit(rows_of((POISON,)), PATIENCE_S)
    await asyncio.sleep(0)
    assert batcher.failing_seconds is not None
    while await model.entered() != [7]:
        pass
    await batcher.stop()
    assert batcher.failing_seconds is None


async def test_a_run_that_hangs_is_noticed(model: Latched, slots: Slots, metrics: Metrics) -> None:
    now = 0.0
    batcher = Batcher("m/1", model, slots, QUEUE_SIZE, metrics, clock=lambda: now)
    request = asyncio.create_task(batcher.submit(rows_of((1,)), PATIENCE_S))
    await model.entered()
    assert batcher.failing_seconds is None
    now = HANG_SECONDS
    assert batcher.failing_seconds == 0
    model.let_through(1)
    await request
    assert batcher.failing_seconds is None
    await batcher.stop()
