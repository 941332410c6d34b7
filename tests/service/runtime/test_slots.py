import threading
from collections.abc import Iterator

import pytest

from service.runtime.slots import Slots, WaitEstimator, seconds_to_wait


@pytest.fixture
def slots() -> Iterator[Slots]:
    slots = Slots(2)
    yield slots
    slots.close()


def test_each_slot_is_claimed_once(slots: Slots) -> None:
    claimed = [slots.claim(lambda: None) for _ in range(3)]
    assert [slot and slot.index for slot in claimed] == [0, 1, None]
    assert slots.running == 2


def test_the_slot_that_has_been_free_longest_is_next(slots: Slots) -> None:
    used = []
    for _ in range(4):  # one batch at a time: the slots of two GPUs take turns
        slot = slots.claim(print)
        assert slot is not None
        used.append(slot.index)
        slots.release(slot)
    assert used == [0, 1, 0, 1]


def test_a_model_without_a_slot_gets_its_turn_when_one_is_free(slots: Slots) -> None:
    one, _ = slots.claim(print), slots.claim(print)
    turns: list[str] = []
    assert slots.claim(lambda: turns.append("a")) is None
    assert turns == []
    assert one is not None
    slots.release(one)
    assert turns == ["a"]
    slots.release(slots.all[1])
    assert turns == ["a"]


def test_turns_come_in_the_order_of_asking_and_one_a_slot(slots: Slots) -> None:
    taken = [slots.claim(print), slots.claim(print)]
    turns: list[str] = []

    def greedy(name: str) -> None:
        turns.append(name)
        slots.claim(print)

    def first() -> None:
        greedy("first")

    def second() -> None:
        greedy("second")

    for turn in (first, second, first):  # asking twice is asking once
        assert slots.claim(turn) is None
    for slot in taken:
        assert slot is not None
        slots.release(slot)
    assert turns == ["first", "second"]
    assert slots.running == 2


def test_a_turn_that_is_not_taken_goes_to_the_next(slots: Slots) -> None:
    taken = [slots.claim(print), slots.claim(print)]
    turns: list[str] = []

    def lost_its_work() -> None:
        turns.append("nothing left")

    def waiting() -> None:
        turns.append("takes it")

    slots.claim(lost_its_work)
    slots.claim(waiting)
    assert taken[0] is not None
    slots.release(taken[0])
    assert turns == ["nothing left", "takes it"]


def test_a_slot_has_one_thread_of_its_own(slots: Slots) -> None:
    names = [slot.thread.submit(threading.get_ident).result() for slot in slots.all for _ in range(3)]
    assert len(set(names[:3])) == len(set(names[3:])) == 1
    assert names[0] != names[3]


# estimated wait


def steady(waiting: float, element_seconds: float = 1.0, batch: int = 1) -> WaitEstimator:
    """Of a model that has run batches of `batch` elements for long."""
    estimator = WaitEstimator(lambda: waiting)
    for _ in range(100):
        estimator.record(batch, batch * element_seconds)
    return estimator


def test_a_pace_is_the_median_of_the_latest_batches() -> None:
    estimator = WaitEstimator(lambda: 10.0)
    for elements, seconds in [(1, 99.0), (4, 8.0), (4, 12.0), (4, 16.0), (2, 10.0), (1, 7.0)]:
        estimator.record(elements, seconds)
    assert (estimator.queued_seconds, estimator.batch_seconds) == (pytest.approx(40.0), pytest.approx(10.0))


def test_the_first_batches_which_load_and_tune_are_no_pace() -> None:
    estimator = WaitEstimator(lambda: 10.0)
    estimator.record(1, 30.0)
    estimator.record(1, 5.0)
    assert (estimator.queued_seconds, estimator.batch_seconds) == (0.0, 0.0)


def test_one_batch_during_which_the_process_was_paused_does_not_count() -> None:
    estimator = steady(10.0)
    estimator.record(1, 60.0)
    assert (estimator.queued_seconds, estimator.batch_seconds) == (pytest.approx(10.0), pytest.approx(1.0))


def test_the_queue_is_shared_among_the_slots() -> None:
    estimator = steady(12.0)
    assert seconds_to_wait(estimator, [estimator], 3) == pytest.approx(4.0)


def test_another_models_work_counts_as_far_as_its_turn_comes_first() -> None:
    own, small, large = steady(4.0, batch=2), steady(1.0), steady(1000.0, batch=5)
    # two batches of its own, so three turns of the others: all of the small one's second, three batches of the large
    assert seconds_to_wait(own, [own, small, large], 1) == pytest.approx(4.0 + 1.0 + 3 * 5.0)


def test_with_nothing_of_its_own_it_waits_one_turn_of_the_others() -> None:
    own, other = WaitEstimator(lambda: 0.0), steady(1000.0, batch=5)
    assert seconds_to_wait(own, [own, other], 1) == pytest.approx(5.0)


def test_nothing_waits_nowhere() -> None:
    own = WaitEstimator(lambda: 0.0)
    assert seconds_to_wait(own, [own, WaitEstimator(lambda: 7.0)], 2) == 0.0
