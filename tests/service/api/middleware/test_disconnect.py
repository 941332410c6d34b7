import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from service.api.middleware import disconnect
from service.api.middleware.disconnect import CancelWhenGone

pytestmark = pytest.mark.anyio

Connect = Callable[..., Any]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_ends_when_its_client_hangs_up(connect: Connect, method: str) -> None:
    client, reached, outcome = connect(method, b"body"), asyncio.Event(), []

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        if method == "POST":
            await receive()
        reached.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            outcome.append("cancelled")
            raise

    request = asyncio.create_task(CancelWhenGone(wait)(client.scope, client.receive, client.send))
    await reached.wait()
    client.hang_up.set()
    await asyncio.wait_for(request, 10)
    assert outcome == ["cancelled"]
    assert client.sent == []


async def test_a_response_that_has_begun_is_not_cancelled(connect: Connect) -> None:
    client, finished = connect(), asyncio.Event()

    async def response(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        client.hang_up.set()
        await asyncio.sleep(0.02)
        finished.set()

    await CancelWhenGone(response)(client.scope, client.receive, client.send)
    assert finished.is_set()


async def test_a_response_is_not_cancelled_though_its_route_reads_on(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disconnect, "UNWATCHED_SECONDS", 0.01)
    client, finished = connect(), asyncio.Event()

    async def response(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        client.hang_up.set()
        await asyncio.sleep(0.05)
        finished.set()

    await CancelWhenGone(response)(client.scope, client.receive, client.send)
    assert finished.is_set()


async def test_a_cancellation_from_elsewhere_passes_through(connect: Connect) -> None:
    client, reached = connect(), asyncio.Event()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        reached.set()
        await asyncio.sleep(60)

    request = asyncio.create_task(CancelWhenGone(wait)(client.scope, client.receive, client.send))
    await reached.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
