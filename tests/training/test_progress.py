import pytest

from training.config.base import GanConfig
from training.distributed import World
from training.progress import Progress


class Clock:
    """Shows the time that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_images_count_when_no_minutes_are_set(clock: Clock) -> None:
    progress = Progress(GanConfig(images=400), World(), clock=clock)
    clock.now += 10**6
    assert [progress.done(images) for images in (0, 100, 399, 400, 464)] == [0, 0.25, 399 / 400, 1, 1]


def test_the_clock_counts_when_minutes_are_set(clock: Clock) -> None:
    progress = Progress(GanConfig(images=400, minutes=2), World(), clock=clock)
    shares = []
    for seconds in (0, 30, 89, 1, 60):
        clock.now += seconds
        shares.append(progress.done(10**9))
    assert shares == [0, 0.25, 119 / 120, 1, 1]


def test_time_before_a_resumption_counts(clock: Clock) -> None:
    progress = Progress(GanConfig(minutes=2), World(), seconds=60, clock=clock)
    clock.now += 30
    assert progress.seconds == 90
    assert progress.done(0) == 0.75
