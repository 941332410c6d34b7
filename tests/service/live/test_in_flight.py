import asyncio

import pytest

from service.live.in_flight import InFlight

pytestmark = pytest.mark.anyio


async def test_without_requests_there_is_nothing_to_wait_for() -> None:
    async with asyncio.timeout(1):
        await InFlight().drain()


async def test_a_drain_waits_for_the_requests_before_it_and_for_no_later_one() -> None:
    in_flight = InFlight()
    first, second = in_flight.begin(), in_flight.begin()
    drain = asyncio.create_task(in_flight.drain())
    await asyncio.sleep(0)
    in_flight.begin()  # never ends
    in_flight.end(second)
    await asyncio.sleep(0.01)
    assert not drain.done()
    in_flight.end(first)
    async with asyncio.timeout(1):
        await drain


async def test_drains_overlap() -> None:
    in_flight = InFlight()
    old = in_flight.begin()
    first = asyncio.create_task(in_flight.drain())
    await asyncio.sleep(0)
    new = in_flight.begin()
    second = asyncio.create_task(in_flight.drain())
    await asyncio.sleep(0)
    in_flight.end(new)
    await asyncio.sleep(0.01)
    assert (first.done(), second.done()) == (False, False)
    in_flight.end(old)
    async with asyncio.timeout(1):
        await asyncio.gather(first, second)
