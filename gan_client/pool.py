"""Keeps a number of calls in flight, and no more than that in memory, however many items there are.

The next item is read when a result is given out: a caller who is slow slows the calls down.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

from gan_client.errors import ClientError

Item = TypeVar("Item")
Result = TypeVar("Result")

FAILURES = (ClientError, OSError, ValueError)
"""Failures of one item: a refusal, a file that cannot be read, or pixels that are no image."""


def run(
    items: Iterable[Item], call: Callable[[Item], Result], in_flight: int
) -> Iterator[tuple[Item, Result | Exception]]:
    """Yields each item with the result of its call or the error, in the order in which calls end."""
    waiting = iter(items)
    with ThreadPoolExecutor(in_flight, "gan-client") as threads:
        running: dict[Future[Result], Item] = {threads.submit(call, item): item for item in islice(waiting, in_flight)}
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                done, error = running.pop(future), future.exception()
                if error is not None and not isinstance(error, FAILURES):
                    raise error
                running.update((threads.submit(call, item), item) for item in islice(waiting, 1))
                yield done, error or future.result()


async def run_async(
    items: Iterable[Item], call: Callable[[Item], Awaitable[Result]], in_flight: int
) -> AsyncIterator[tuple[Item, Result | Exception]]:
    """Yields like `run`."""
    waiting = iter(items)
    running: dict[asyncio.Future[Result], Item] = {
        asyncio.ensure_future(call(item)): item for item in islice(waiting, in_flight)
    }
    try:
        while running:
            ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for future in ended:
                done, error = running.pop(future), future.exception()
                if error is not None and not isinstance(error, FAILURES):
                    raise error
                running.update((asyncio.ensure_future(call(item)), item) for item in islice(waiting, 1))
                yield done, error or future.result()
    finally:
        for future in running:
            future.cancel()
