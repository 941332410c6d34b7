import pytest

from service.runtime.pace import Pace, seconds_to_wait


def steady(waiting: float, element_seconds: float = 1.0, batch: int = 1) -> Pace:
    """Of a model that has run batches of `batch` elements for long."""
    pace = Pace(lambda: waiting)
    for _ in range(100):
        pace.ran(batch, batch * element_seconds)
    return pace


def test_a_pace_is_the_median_of_the_latest_batches() -> None:
    pace = Pace(lambda: 10.0)
    for elements, seconds in [(1, 99.0), (4, 8.0), (4, 12.0), (4, 16.0), (2, 10.0), (1, 7.0)]:
        pace.ran(elements, seconds)
    assert (pace.waiting_seconds, pace.batch_seconds) == (pytest.approx(40.0), pytest.approx(10.0))


def test_the_first_batches_which_load_and_tune_are_no_pace() -> None:
    pace = Pace(lambda: 10.0)
    pace.ran(1, 30.0)
    pace.ran(1, 5.0)
    assert (pace.waiting_seconds, pace.batch_seconds) == (0.0, 0.0)


def test_one_batch_during_which_the_process_was_paused_does_not_count() -> None:
    pace = steady(10.0)
    pace.ran(1, 60.0)
    assert (pace.waiting_seconds, pace.batch_seconds) == (pytest.approx(10.0), pytest.approx(1.0))


def test_what_waits_is_shared_out_among_the_slots() -> None:
    pace = steady(12.0)
    assert seconds_to_wait(pace, [pace], 3) == pytest.approx(4.0)


def test_another_models_work_counts_as_far_as_its_turn_comes_first() -> None:
    own, small, large = steady(4.0, batch=2), steady(1.0), steady(1000.0, batch=5)
    # two batches of its own, so three turns of the others: all of the small one's second, three batches of the large
    assert seconds_to_wait(own, [own, small, large], 1) == pytest.approx(4.0 + 1.0 + 3 * 5.0)


def test_with_nothing_of_its_own_it_waits_one_turn_of_the_others() -> None:
    own, other = Pace(lambda: 0.0), steady(1000.0, batch=5)
    assert seconds_to_wait(own, [own, other], 1) == pytest.approx(5.0)


def test_nothing_waits_nowhere() -> None:
    own = Pace(lambda: 0.0)
    assert seconds_to_wait(own, [own, Pace(lambda: 7.0)], 2) == 0.0
