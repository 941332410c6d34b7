"""Heads that are too long, too slow or offer another protocol, over real sockets."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from service.server.protocol import MAX_HEAD_BYTES, HttpProtocol

pytestmark = pytest.mark.anyio

OFFER = (
    b"POST /here?a=b HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAEAAEAAAAIAAAAB\r\nContent-Length: 9\r\n\r\n"
)
PLAIN = b"GET /here HTTP/1.1\r\nHost: a\r\n\r\n"
SLOW = PLAIN.replace(b"/here", b"/slow")
REFUSED = b"POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[int], Awaitable[Connection]]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    body = "" if scope["path"] == "/refused" else (await request.body()).decode()
    if scope["path"] == "/slow":
        await asyncio.sleep(1.5)
    await JSONResponse([request.method, str(request.url.query), body, request.headers.get("upgrade")])(
        scope, receive, send
    )


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """`await connect(seconds)`: a connection to a server on which one may idle so long."""
    opened: list[tuple[asyncio.Server, asyncio.StreamWriter]] = []

    async def connect(seconds: int) -> Connection:
        config, state = uvicorn.Config(echo, log_config=None, timeout_keep_alive=seconds), ServerState()
        server = await asyncio.get_running_loop().create_server(lambda: HttpProtocol(config, state, {}), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        opened.append((server, writer))
        return reader, writer

    yield connect
    for server, writer in opened:
        writer.transport.abort()
        server.close()


async def response(reader: asyncio.StreamReader) -> tuple[int, str]:
    """Status and body of the next one."""
    async with asyncio.timeout(30):
        head = (await reader.readuntil(b"\r\n\r\n")).lower().decode()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        return int(head.split()[1]), (await reader.readexactly(length)).decode()


@pytest.mark.parametrize("cuts", [[], [len(OFFER)], [40], [len(OFFER) - 2], [len(OFFER) + 4], [10, 60, 90, 150, 175]])
async def test_an_offer_of_another_protocol_is_ignored(connect: Connect, cuts: list[int]) -> None:
    reader, writer = await connect(30)
    whole = OFFER + b"the body."
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        writer.write(whole[start:end])
        await asyncio.sleep(0.02)
    assert await response(reader) == (200, '["POST","a=b","the body.",null]')
    writer.write(whole + PLAIN)  # and so is every later one
    assert await response(reader) == (200, '["POST","a=b","the body.",null]')
    assert await response(reader) == (200, '["GET","","",null]')


@pytest.mark.parametrize("seed", range(20))
async def test_requests_are_answered_in_turn_however_they_are_cut(connect: Connect, seed: int) -> None:
    dice, stream, expected = random.Random(seed), b"", []
    for number in range(10):
        offer = b"Connection: upgrade\r\nUpgrade: h2c\r\n" if dice.random() < 0.5 else b""
        body = b"b" * dice.choice([0, 1, 3000, MAX_HEAD_BYTES + 1])
        chunks = b"%x\r\n%b\r\n0\r\nT: v\r\n\r\n" % (len(body), body)
        framed, kind = dice.choice([(body, b"Content-Length: %d" % len(body)), (chunks, b"Transfer-Encoding: chunked")])
        if not body:
            framed, kind = b"", b"Content-Length: 0"
        stream += b"POST /here?%d HTTP/1.1\r\nHost: a\r\n%b%b\r\n\r\n%b" % (number, offer, kind, framed)
        expected.append(f'["POST","{number}","{body.decode()}",null]')
    reader, writer = await connect(30)
    while stream:
        size = dice.choice([1, 10, 100, 5000, 100_000])
        writer.write(stream[:size])
        stream = stream[size:]
        await asyncio.sleep(0)
    assert [await response(reader) for _ in expected] == [(200, body) for body in expected]


async def test_as_many_offers_as_a_packet_holds_are_declined(connect: Connect) -> None:
    reader, writer = await connect(30)
    writer.write((OFFER + b"the body.") * 1000)
    for _ in range(1000):
        assert await response(reader) == (200, '["POST","a=b","the body.",null]')


@pytest.mark.parametrize("target", [b"a:443", b"/a", b"http://a/b"])
async def test_a_tunnel_is_refused(connect: Connect, target: bytes) -> None:
    reader, writer = await connect(30)
    writer.write(b"CONNECT %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
    status, _ = await response(reader)
    assert status == 400
    assert await asyncio.wait_for(reader.read(), 30) == b""


@pytest.mark.parametrize("endless", [b"a: b\r\n", b"x"])
async def test_a_head_that_does_not_end_is_refused(connect: Connect, endless: bytes) -> None:
    reader, writer = await connect(30)
    writer.write(PLAIN[:-2] + b"long: ")
    for _ in range(12):
        writer.write(endless * (MAX_HEAD_BYTES // len(endless) // 4))
        await asyncio.sleep(0.01)  # in packets, and on after it is refused
    status, reason = await response(reader)
    assert (status, "65,536 bytes" in reason) == (431, True)
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 30) == b""


async def test_a_long_body_before_it_is_no_part_of_a_head(connect: Connect) -> None:
    reader, writer = await connect(30)
    body = bytes(3 * MAX_HEAD_BYTES)
    head = b"POST /here HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    writer.write(head[:20])
    await asyncio.sleep(0.05)
    writer.write(head[20:] + body + PLAIN[:9])
    assert (await response(reader))[0] == 200
    writer.write(PLAIN[9:])
    assert (await response(reader))[0] == 200


async def test_a_response_on_its_way_is_not_lost_to_a_long_head_behind_it(connect: Connect) -> None:
    reader, writer = await connect(30)
    writer.write(SLOW + PLAIN[:-2])
    for _ in range(12):
        writer.write(b"a: b\r\n" * 2000)
        await asyncio.sleep(0.01)
    assert (await response(reader))[0] == 200
    assert (await response(reader))[0] == 431


@pytest.mark.parametrize("answered", [True, False])
async def test_trailers_without_end_are_neither_kept_nor_read(connect: Connect, answered: bool) -> None:
    reader, writer = await connect(30)
    path = b"/refused" if answered else b"/here"
    writer.write(b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" % path)
    if answered:
        assert (await response(reader))[0] == 200
    writer.write(b"0\r\n")
    for _ in range(12):
        writer.write(b"a: b\r\n" * 2000)
        await asyncio.sleep(0.01)
    if not answered:
        status, body = await response(reader)
        assert (status, json.loads(body)["type"]) == (431, "urn:gan:problem:trailers-too-long")
    assert await asyncio.wait_for(reader.read(), 30) == b""


async def test_a_chunk_extension_without_end_is_answered(connect: Connect) -> None:
    reader, writer = await connect(30)
    writer.write(b"POST /here HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;")
    for _ in range(12):
        writer.write(b"a" * 12_000)
        await asyncio.sleep(0.01)
    status, body = await response(reader)
    assert (status, "a chunk's extensions" in json.loads(body)["detail"]) == (431, True)


async def test_a_request_that_began_before_the_response_to_another_has_its_time(connect: Connect) -> None:
    reader, writer = await connect(1)
    writer.write(SLOW + SLOW[:9])
    assert (await response(reader))[0] == 200
    writer.write(SLOW[9:])
    assert (await response(reader))[0] == 200  # after longer than a connection may idle


async def test_a_refusal_is_not_cut_short_by_the_time_for_its_head(connect: Connect) -> None:
    reader, writer = await connect(2)
    writer.write(PLAIN[:9])
    await asyncio.sleep(1)
    writer.write(b"x" * 2 * MAX_HEAD_BYTES)
    await asyncio.sleep(0.1)
    writer.write(b"x")
    assert (await response(reader))[0] == 431
    await asyncio.sleep(1.5)
    writer.write(b"more")
    await asyncio.sleep(0.1)
    writer.write(b"more")  # a connection that was closed would be reset by the one before
    assert await asyncio.wait_for(reader.read(), 30) == b""


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"", b""), (b"", b"\r\n"), (PLAIN, b"\r\n"), (REFUSED, b"ab"), (REFUSED, b"abcd")],
    ids=["nothing", "an empty line", "an empty line later", "half a body", "a body"],
)
async def test_an_idle_connection_is_closed(connect: Connect, before: bytes, after: bytes) -> None:
    reader, writer = await connect(1)
    if before:
        writer.write(before)
        assert (await response(reader))[0] == 200
    writer.write(after)
    assert await asyncio.wait_for(reader.read(), 30) == b""


@pytest.mark.parametrize("before", [b"", PLAIN])
async def test_a_slow_head_gets_a_408(connect: Connect, before: bytes) -> None:
    reader, writer = await connect(1)
    writer.write(before + PLAIN[:9])
    if before:
        assert (await response(reader))[0] == 200
    await asyncio.sleep(0.5)
    writer.write(PLAIN[9:12])  # which does not begin the time anew
    status, reason = await response(reader)
    assert (status, "longer than 1 s" in reason) == (408, True)
    assert await asyncio.wait_for(reader.read(), 30) == b""


async def test_a_response_on_its_way_is_not_cut_by_what_was_sent_ahead(connect: Connect) -> None:
    reader, writer = await connect(1)
    writer.write(SLOW + PLAIN[:9])
    assert (await response(reader))[0] == 200
