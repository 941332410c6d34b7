import asyncio
from typing import Any

import pytest
from starlette.types import Message


class Client:
    """One side of a connection, by hand: a request without a body, that hangs up when told to."""

    def __init__(self, method: str = "GET", body: bytes | None = None) -> None:
        self.sent: list[Message] = []
        self.hang_up = asyncio.Event()
        self.scope: dict[str, Any] = {
            "type": "http", "method": method, "path": "/", "headers": [], "query_string": b"", "root_path": "",
        }  # fmt: skip
        self._messages = [{"type": "http.request", "body": body or b"", "more_body": False}]

    async def receive(self) -> Message:
        if self._messages:
            return self._messages.pop(0)
        await self.hang_up.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)


@pytest.fixture
def connect() -> type[Client]:
    """`connect(method, body)`: the client's side of a connection."""
    return Client
