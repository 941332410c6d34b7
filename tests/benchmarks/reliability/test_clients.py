"""How the clients count a request, against servers that treat them badly."""

import asyncio
from collections.abc import Callable

import pytest

from benchmarks.reliability import clients
from benchmarks.reliability.clients import Tally, digit, leave, load, quantile, send

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def ending(*writes: bytes, wait: bool = False) -> clients.Ending:
    """How a request to a server ends that writes this and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in writes:
            writer.write(part)
        if wait:
            await asyncio.sleep(1)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        return await send(server.sockets[0].getsockname()[1], digit())


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (OK, 200),
        (OK.replace(b"200", b"503"), 503),
        (OK[:-1], "reset"),
        (OK[:20], "reset"),
        (b"", "reset"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", 200),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n", "reset"),
    ],
)
async def test_a_response_counts_only_when_it_is_whole(written: bytes, expected: clients.Ending) -> None:
    assert await ending(written) == expected


async def test_a_server_that_says_nothing_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "TIMEOUT_SECONDS", 0.1)
    assert await ending(wait=True) == "silent"


async def test_a_port_without_a_server_is_refused(unused_tcp_port: Callable[[], int]) -> None:
    assert await send(unused_tcp_port(), digit()) == "refused"


@pytest.fixture
def unused_tcp_port() -> Callable[[], int]:
    import socket

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


async def test_a_client_that_leaves_sends_a_part() -> None:
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while part := await reader.read(1000):
                received.append(part)
        except ConnectionError:
            received.append(b"")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        await leave(server.sockets[0].getsockname()[1], digit(), 0.5, 0.2)
        await asyncio.sleep(0.2)
    assert len(b"".join(received)) == round(0.5 * len(digit().head()))


async def test_a_load_counts_its_requests() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, load(server.sockets[0].getsockname()[1], [digit] * 2) as tally:
        await asyncio.sleep(0.2)
    assert tally.endings.keys() == {200}
    assert len(tally.times) == tally.endings[200] > 2


def test_a_tally_tells_what_is_not_allowed() -> None:
    tally = Tally()
    for end in (200, 200, 503, "reset"):
        tally.add(0.0, end)
    assert tally.others(200, 503) == {"reset": 1}
    assert tally.text() == "2 x 200, 1 x 503, 1 x reset"


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 3), (0.99, 4), (1.0, 4)])
def test_a_quantile_is_one_of_the_values(share: float, value: int) -> None:
    assert quantile([4, 1, 3, 2], share) == value
