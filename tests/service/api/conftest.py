"""A queue without room, and clients that hang up, for the routes that have a queue."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message


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


class Connection:
    """A client by hand: reads a response piece by piece while `reads` is set, and hangs up when told to."""

    def __init__(self, path: str, body: bytes | None = None, **headers: str) -> None:
        """Without a body the request is a GET. `headers`: their names with underscores."""
        self.sent: list[Message] = []
        self.began, self.hang_up, self.reads = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.reads.set()
        path, _, query = path.partition("?")
        named = {"host": "test", **headers}
        self.scope: dict[str, Any] = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
            "method": "GET" if body is None else "POST", "scheme": "http", "path": path, "raw_path": path.encode(),
            "query_string": query.encode(), "root_path": "", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
            "headers": [(name.lower().replace("_", "-").encode(), value.encode()) for name, value in named.items()],
        }  # fmt: skip
        self._messages: list[Message] = [{"type": "http.request", "body": body or b"", "more_body": False}]

    async def receive(self) -> Message:
        if self._messages:
            return self._messages.pop(0)
        await self.hang_up.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        if message.get("body"):
            self.began.set()
        await self.reads.wait()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


@pytest.fixture
def connect() -> type[Connection]:
    """`connect(path, body, **headers)`: the client's side of a connection."""
    return Connection


@pytest.fixture
def cancelled(
    gate: Any, make_app: Callable[..., FastAPI], serve: Callable[[FastAPI], Awaitable[httpx.AsyncClient]]
) -> Callable[..., Awaitable[bool]]:
    """`await cancelled(path, body, **headers)`: whether a request ends and is counted when its client hangs up."""

    async def check(path: str, body: bytes | None = None, **headers: str) -> bool:
        app = make_app()
        client, connection = await serve(app), Connection(path, body, **headers)
        request = asyncio.create_task(app(connection.scope, connection.receive, connection.send))
        await gate.reached()
        connection.hang_up.set()
        await asyncio.wait_for(request, 30)
        counted = [line for line in (await client.get("/metrics")).text.splitlines() if 'outcome="cancelled"' in line]
        return not connection.sent and any(line.endswith(" 1.0") for line in counted)

    return check
