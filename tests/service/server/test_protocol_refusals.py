"""Requests that HTTP does not allow, and clients that end their side of the connection, over real sockets."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from service.server.protocol import HttpProtocol

pytestmark = pytest.mark.anyio

GOOD = b"GET /quick HTTP/1.1\r\nHost: a\r\n\r\n"
SLOW = GOOD.replace(b"/quick", b"/slow")
CHUNKED = b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
HALF_SECOND = 0.5


class Application:
    """Answers with the path, after half a second on /slow, after the body on /body; records who left."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if scope["path"] == "/slow":
            await asyncio.sleep(HALF_SECOND)
        if scope["path"] == "/body":
            try:
                await request.body()
            except ClientDisconnect:
                self.left.set()
        if scope["path"] == "/wait":
            await request.body()
            while (await receive())["type"] != "http.disconnect":
                pass
            self.left.set()
        await Response(scope["path"])(scope, receive, send)


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
async def address(application: Application) -> AsyncIterator[tuple[str, int]]:
    config, state = uvicorn.Config(application, log_config=None), ServerState()
    server = await asyncio.get_running_loop().create_server(lambda: HttpProtocol(config, state, {}), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()
    server.close()


async def exchange(address: tuple[str, int], sent: bytes, *, half_close: bool = False) -> bytes:
    """All that the server sends until it closes."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(sent)
    if half_close:
        writer.write_eof()
    received = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return received


def problem(received: bytes) -> tuple[int, str, str]:
    """Status, type and detail of the last response."""
    head, _, body = received.rpartition(b"\r\n\r\n")
    head = head[head.rindex(b"HTTP/1.1 ") :].lower()
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    document = json.loads(body)
    assert f"x-request-id: {document['request_id']}".encode() in head
    return int(head.split()[1]), document["type"].removeprefix("urn:gan:problem:"), document["detail"]


@pytest.mark.parametrize(
    ("sent", "status", "kind", "reason"),
    [
        (b"nonsense\r\n\r\n", 400, "bad-request", "not valid HTTP/1.1"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n", 400, "bad-request", "header"),
        (b"GET /" + b"a" * 66_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bad-request", "longer than 65,535 bytes"),
        (CHUNKED + b"xyz\r\n", 400, "bad-request", "chunk size"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "bad-host", "0 Host headers"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "bad-host", "2 Host headers"),
        (CHUNKED.replace(b"chunked", b"gzip, chunked"), 501, "unknown-transfer-coding", "'gzip, chunked'"),
    ],
)
async def test_what_http_does_not_allow_is_refused_with_the_reason(
    address: tuple[str, int], sent: bytes, status: int, kind: str, reason: str
) -> None:
    found = problem(await exchange(address, sent))
    assert found[:2] == (status, kind)
    assert reason in found[2]


async def test_http_1_0_needs_no_host(address: tuple[str, int]) -> None:
    assert (await exchange(address, b"GET /quick HTTP/1.0\r\n\r\n")).endswith(b"\r\n\r\n/quick")


@pytest.mark.parametrize("before", [SLOW, SLOW + GOOD])
async def test_a_refusal_comes_after_the_responses_to_earlier_requests(address: tuple[str, int], before: bytes) -> None:
    received = await exchange(address, before + b"nonsense\r\n\r\n")
    paths = [b"/slow", b"/quick"][: before.count(b"GET")]
    places = [received.index(path) for path in paths]
    assert places == sorted(places)
    assert received.count(b"HTTP/1.1 200") == len(paths)
    assert problem(received)[:2] == (400, "bad-request")


@pytest.mark.parametrize("sent", [SLOW, SLOW + GOOD, CHUNKED + b"1\r\na\r\n0\r\n\r\n"])
async def test_a_client_that_ends_its_side_gets_its_responses(address: tuple[str, int], sent: bytes) -> None:
    received = await exchange(address, sent, half_close=True)
    assert received.count(b"HTTP/1.1 200") == sent.count(b"HTTP/1.1")


async def test_a_client_of_http_1_0_gets_no_interim_response(address: tuple[str, int]) -> None:
    received = await exchange(address, b"GET /slow HTTP/1.0\r\n\r\n", half_close=True)
    assert received.startswith(b"HTTP/1.1 200")


async def test_a_client_that_closes_altogether_is_noticed(address: tuple[str, int], application: Application) -> None:
    _, writer = await asyncio.open_connection(*address)
    writer.write(GOOD.replace(b"/quick", b"/wait"))
    await writer.drain()
    writer.close()  # looks like the end of one side until the server writes
    await asyncio.wait_for(application.left.wait(), 30)


async def test_a_client_that_resets_is_noticed(address: tuple[str, int], application: Application) -> None:
    _, writer = await asyncio.open_connection(*address)
    writer.write(GOOD.replace(b"/quick", b"/wait"))
    await writer.drain()
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    await asyncio.wait_for(application.left.wait(), 30)


async def test_a_client_that_ends_its_side_within_a_body_has_left(
    address: tuple[str, int], application: Application
) -> None:
    assert await exchange(address, CHUNKED + b"5\r\nab", half_close=True) == b""
    await asyncio.wait_for(application.left.wait(), 30)
