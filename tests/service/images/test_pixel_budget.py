import threading
import time

import pytest

from service.images.pixel_budget import PixelBudget

LONG = 30.0


def test_what_fits_goes_together_and_comes_back() -> None:
    budget = PixelBudget(10)
    for _ in range(3):
        with budget.take(4, 0), budget.take(6, 0):
            pass


def test_what_does_not_fit_waits_only_so_long() -> None:
    budget = PixelBudget(10)
    with budget.take(5, 0), pytest.raises(TimeoutError), budget.take(6, 0.01):
        pass
    with budget.take(10, 0):  # nothing is lost
        pass


def test_more_than_all_means_all() -> None:
    budget = PixelBudget(10)
    with budget.take(100, 0), pytest.raises(TimeoutError), budget.take(1, 0):
        pass


def test_a_large_image_is_not_overtaken_for_ever() -> None:
    budget, large, order = PixelBudget(10), threading.Event(), list[str]()

    def take(name: str, pixels: int) -> None:
        large.set()
        with budget.take(pixels, LONG):
            order.append(name)

    with budget.take(6, 0):
        first = threading.Thread(target=take, args=("large", 10))
        first.start()
        assert large.wait(LONG)
        time.sleep(0.05)
        second = threading.Thread(target=take, args=("small", 1))
        second.start()
        time.sleep(0.05)
        assert order == []  # the small one would fit
    first.join(LONG)
    second.join(LONG)
    assert order == ["large", "small"]
