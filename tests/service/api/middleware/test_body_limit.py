import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from service.api.middleware.body_limit import BodyLimit
from service.errors import Problem

pytestmark = pytest.mark.anyio

LIMIT = 1000


class Upload:
    """A body that is sent in chunks and counts how many were taken."""

    def __init__(self, chunks: int, size: int) -> None:
        self.taken, self._chunks, self._size = 0, chunks, size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self._chunks):
            self.taken += 1
            yield bytes(self._size)


@pytest.fixture
def limited() -> httpx.AsyncClient:
    """A client of a route that reads its body, inside BodyLimit."""

    async def size(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    async def on_problem(request: Request, error: Problem) -> Response:
        return PlainTextResponse(error.detail, error.status, headers=error.headers)

    app = Starlette(routes=[Route("/", size, methods=["POST"])], exception_handlers={Problem: on_problem})
    app.add_middleware(BodyLimit, limit_bytes=LIMIT, all_bytes=2 * LIMIT)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


@pytest.mark.parametrize("body", [bytes(LIMIT), Upload(1, LIMIT), Upload(10, LIMIT // 10)])
async def test_a_body_of_just_the_limit_passes(limited: httpx.AsyncClient, body: bytes | Upload) -> None:
    response = await limited.post("/", content=body)
    assert (response.status_code, response.text) == (200, str(LIMIT))


async def test_a_body_that_announces_too_much_is_never_read(limited: httpx.AsyncClient) -> None:
    upload = Upload(100, 100)
    response = await limited.post("/", content=upload, headers={"Content-Length": "10000"})
    assert response.status_code == 413
    assert upload.taken == 0


async def test_a_body_that_announces_nothing_is_read_up_to_the_limit(limited: httpx.AsyncClient) -> None:
    upload = Upload(100, 100)
    response = await limited.post("/", content=upload)
    assert response.status_code == 413
    assert upload.taken == LIMIT // 100 + 1


async def test_a_body_that_announces_too_little_is_read_up_to_the_limit(limited: httpx.AsyncClient) -> None:
    upload = Upload(100, 100)
    response = await limited.post("/", content=upload, headers={"Content-Length": "5"})
    assert response.status_code == 413
    assert upload.taken == LIMIT // 100 + 1


async def test_a_refused_body_closes_the_connection_and_says_the_limit(limited: httpx.AsyncClient) -> None:
    response = await limited.post("/", content=bytes(LIMIT + 1))
    assert response.headers["connection"] == "close"
    assert "1,000 bytes" in response.text


async def test_a_route_that_reads_no_body_responds_however_large_it_is(limited: httpx.AsyncClient) -> None:
    assert (await limited.post("/nowhere", content=bytes(LIMIT + 1))).status_code == 404


async def test_bodies_together_are_read_up_to_a_limit_too(limited: httpx.AsyncClient) -> None:
    arrived, rest = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield bytes(LIMIT - 1)
        arrived.set()
        await rest.wait()
        yield bytes(1)

    slow = [asyncio.create_task(limited.post("/", content=slowly())) for _ in range(2)]
    await arrived.wait()
    await asyncio.sleep(0.05)
    announced, unannounced = Upload(2, 5), Upload(2, 5)
    responses = [
        await limited.post("/", content=announced, headers={"Content-Length": "10"}),
        await limited.post("/", content=unannounced),
    ]
    assert [(response.status_code, response.headers["retry-after"]) for response in responses] == [
        (503, "1"),
        (503, "1"),
    ]
    assert (announced.taken, unannounced.taken) == (0, 1)
    rest.set()
    assert [(await request).status_code for request in slow] == [200, 200]
    assert (await limited.post("/", content=bytes(LIMIT))).status_code == 200  # what was held is given back
