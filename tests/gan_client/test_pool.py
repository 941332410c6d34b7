import asyncio
import threading
from collections.abc import Iterator

import pytest

from gan_client import ClientError, pool

IN_FLIGHT = 4


class Counted:
    """Numbers that count how many were read but have no result yet."""

    def __init__(self, number: int) -> None:
        self.number, self.open, self.most = number, 0, 0

    def __iter__(self) -> Iterator[int]:
        for n in range(self.number):
            self.open += 1
            self.most = max(self.most, self.open)
            yield n


def test_n_calls_are_in_flight_and_no_more() -> None:
    together = threading.Barrier(IN_FLIGHT)  # which opens when all of them are there

    def call(item: int) -> int:
        together.wait(30)
        return -item

    items = Counted(8 * IN_FLIGHT)
    found = []
    for item, result in pool.run(items, call, IN_FLIGHT):
        items.open -= 1
        found.append((item, result))
    assert sorted(found) == [(n, -n) for n in range(8 * IN_FLIGHT)]
    assert items.most <= 2 * IN_FLIGHT  # those in flight, and results that wait to be taken


def test_awaited_calls_are_in_flight_alike() -> None:
    async def run() -> tuple[int, int]:
        running = most = 0

        async def call(item: int) -> int:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1
            return -item

        total = 0
        async for item, result in pool.run_async(range(100), call, IN_FLIGHT):
            assert result == -item
            total += 1
        return total, most

    assert asyncio.run(run()) == (100, IN_FLIGHT)


def test_a_failed_item_is_yielded_with_its_error_and_the_others_continue() -> None:
    def call(item: int) -> int:
        if item == 1:
            raise ClientError("refused")
        return item

    found = dict(pool.run(range(3), call, 2))
    assert (found[0], found[2], str(found[1])) == (0, 2, "refused")


def test_a_mistake_in_the_program_ends_the_run() -> None:
    def call(item: int) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(pool.run(range(3), call, 2))


def test_calls_end_when_nobody_takes_results_any_more() -> None:
    async def run() -> int:
        cancelled = 0

        async def call(item: int) -> int:
            nonlocal cancelled
            try:
                await asyncio.sleep(0 if item == 0 else 3600)
            except asyncio.CancelledError:
                cancelled += 1
                raise
            return item

        results = pool.run_async(range(IN_FLIGHT), call, IN_FLIGHT)
        await anext(results)
        await results.aclose()  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        return cancelled

    assert asyncio.run(run()) == IN_FLIGHT - 1
