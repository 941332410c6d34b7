"""A queue without room, for the routes that have one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI


@pytest.fixture
async def fill_queue(
    gate: Any, make_app: Callable[..., FastAPI], serve: Callable[[FastAPI], Awaitable[httpx.AsyncClient]]
) -> AsyncIterator[Callable[[], Awaitable[httpx.AsyncClient]]]:
    """`await fill_queue()`: a client of an application whose queue of digits is full until the gate opens."""
    waiting: list[asyncio.Task[httpx.Response]] = []

    async def fill() -> httpx.AsyncClient:
        client = await serve(make_app(queue_size=1))
        waiting.append(asyncio.create_task(client.get("/mnist/sample")))
        await gate.reached()
        waiting.append(asyncio.create_task(client.get("/mnist/sample")))
        async with asyncio.timeout(30):
            while 'gan_queue_depth{model="mnist/1"} 1.0' not in (await client.get("/metrics")).text:
                pass
        return client

    yield fill
    gate.opened.set()
    assert [(await response).status_code for response in waiting] == [200] * len(waiting)
