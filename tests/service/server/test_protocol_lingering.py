"""Answers that come before the request's body: the client gets them, and has a while to stop."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from service.api.context import Lifecycle
from service.api.middleware.request_context import RequestContext
from service.server import transport
from service.server.protocol import HttpProtocol
from service.telemetry.metrics import Metrics

pytestmark = pytest.mark.anyio

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
MUCH = 2**24
"""Bytes that no socket's buffers hold."""


async def send_much(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(bytes(MUCH), headers={"Connection": "close"} if scope["path"] == "/last" else {})(
        scope, receive, send
    )


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads nothing of a POST's body."""
    await Response("no", 413, headers={"Connection": "close"})(scope, receive, send)


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    config, state = uvicorn.Config(refuse, log_config=None), ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: HttpProtocol(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    yield reader, writer
    writer.transport.abort()
    server.close()


async def turns_to(state: ServerState, connections: int, within_seconds: float) -> None:
    async with asyncio.timeout(within_seconds):
        while len(state.connections) != connections:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0.01)


async def send_on(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"more")
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("reads", [False, True], ids=["stalled", "departed"])
async def test_a_client_that_does_not_take_its_response_is_left_without_an_error(
    reads: bool, caplog: pytest.LogCaptureFixture
) -> None:
    ended = asyncio.Event()

    async def stall(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        if reads:
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        raise ClientDisconnect  # as an archive does after a while

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await RequestContext(stall, Metrics(), Lifecycle())(scope, receive, send)
        finally:
            ended.set()

    config, state = uvicorn.Config(application, log_config=None), ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: HttpProtocol(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    if reads:
        await asyncio.wait_for(reader.readuntil(b"begun"), 30)
        resetting = struct.pack("ii", 1, 0)  # without waiting for what is unsent
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, resetting)
        writer.transport.abort()
    await asyncio.wait_for(ended.wait(), 30)
    await turns_to(state, 0, 30)
    writer.transport.abort()
    server.close()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_refused_body_is_read_and_the_response_arrives(connection: Connection) -> None:
    reader, writer = connection
    writer.write(HEAD % MUCH + bytes(MUCH))
    await writer.drain()
    writer.write_eof()
    assert (await asyncio.wait_for(reader.read(), 30)).startswith(b"HTTP/1.1 413 ")


async def test_a_client_that_sends_for_too_long_is_cut_off(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "LINGER_SECONDS", 0.05)
    reader, writer = connection
    writer.write(HEAD % MUCH)
    assert (await asyncio.wait_for(reader.read(), 30)).startswith(b"HTTP/1.1 413 ")  # its side is closed
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(send_on(writer), 30)


async def test_a_request_that_has_arrived_whole_ends_at_once(connection: Connection) -> None:
    reader, writer = connection
    writer.write(HEAD % 2 + b"ok")
    assert (await asyncio.wait_for(reader.read(), 30)).startswith(b"HTTP/1.1 413 ")
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(send_on(writer), transport.LINGER_SECONDS / 2)


@pytest.mark.parametrize("path", [b"/", b"/last"])
async def test_a_response_that_nobody_reads_is_given_up(path: bytes) -> None:
    config, state = uvicorn.Config(send_much, log_config=None), ServerState()
    config.timeout_keep_alive = 0.1  # type: ignore[assignment]  # uvicorn's is of whole seconds
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: HttpProtocol(config, state, {}), "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname()) as client:
        client.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
        await turns_to(state, 1, 30)
        await turns_to(state, 0, 30)
    server.close()


async def test_a_body_that_came_after_its_response_leaves_nothing_to_wait_for() -> None:
    async def refuse_and_go_on(scope: Scope, receive: Receive, send: Send) -> None:
        await Response("no", 415)(scope, receive, send)

    config, state = uvicorn.Config(refuse_and_go_on, log_config=None), ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: HttpProtocol(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(HEAD % 2)
    assert (await reader.readuntil(b"no")).startswith(b"HTTP/1.1 415 ")
    writer.write(b"ok" + HEAD % 2)
    await reader.readuntil(b"no")
    writer.write(b"ok")
    await asyncio.sleep(0.05)
    (connected,) = state.connections
    connected.shutdown()
    await turns_to(state, 0, transport.LINGER_SECONDS / 2)
    writer.close()
    server.close()
