import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.types import Receive, Scope, Send

from service.api.middleware.fast_path import FastPath
from service.errors import Problem

pytestmark = pytest.mark.anyio

router = APIRouter()


@router.get("/digits")
async def digits(request: Request) -> Response:
    return Response(request.scope["route"].path)


@router.post("/to/{place}")
async def to(request: Request, place: str) -> Response:
    if place == "nowhere":
        raise Problem(404, "lost", "there is nothing", headers={"X-Way": "back"})
    if place == "wrong":
        raise RequestValidationError([{"loc": ("query", "count"), "msg": "too many", "input": 5}])
    return Response(place)


async def behind(scope: Scope, receive: Receive, send: Send) -> None:
    await Response("behind")(scope, receive, send)


@pytest.fixture
def fast() -> httpx.AsyncClient:
    """A client of two routes on the fast path, in front of an application that responds with "behind"."""

    async def identified(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"request_id": "abc"}
        await FastPath(behind, router.routes)(scope, receive, send)

    return httpx.AsyncClient(transport=httpx.ASGITransport(identified), base_url="http://test")


@pytest.mark.parametrize(
    ("method", "path", "response"),
    [
        ("GET", "/digits", "/digits"),
        ("POST", "/to/here", "here"),
        ("POST", "/to/hier%20und%20da", "hier und da"),
        ("POST", "/digits", "behind"),
        ("GET", "/digits/", "behind"),
        ("GET", "/digits/more", "behind"),
        ("POST", "/to/", "behind"),
        ("POST", "/to/here%2Fthere", "behind"),
    ],
)
async def test_other_requests_go_to_the_application(
    fast: httpx.AsyncClient, method: str, path: str, response: str
) -> None:
    assert (await fast.request(method, path)).text == response


async def test_a_refusal_is_a_problem(fast: httpx.AsyncClient) -> None:
    lost, wrong = await fast.post("/to/nowhere"), await fast.post("/to/wrong")
    assert (lost.status_code, lost.headers["x-way"], lost.json()["type"]) == (404, "back", "urn:gan:problem:lost")
    assert (wrong.status_code, wrong.json()["detail"]) == (422, "count: too many (got '5')")
    assert lost.json()["request_id"] == "abc"


#: (method, path, headers): requests that must get the same response both ways
REQUESTS: list[tuple[str, str, dict[str, str]]] = [
    ("GET", "/mnist/sample?seed=5", {}),
    ("GET", "/mnist/sample?seed=5&count=3&format=json", {}),
    ("GET", "/mnist/sample?seed=5", {"Accept": "application/x-npy"}),
    ("GET", "/mnist/sample", {"Accept": "image/webp"}),
    ("GET", "/mnist/sample?sed=5", {}),
    ("GET", "/mnist/sample?count=0&digit=x", {}),
    ("GET", "/mnist/sample?model=nobody", {}),
    ("GET", "/mnist/sample", {"X-Request-Timeout": "soon"}),
    ("HEAD", "/mnist/sample?seed=5", {}),
    ("GET", "/mnist/sample?seed=5", {"If-None-Match": "*"}),
    ("OPTIONS", "/mnist/sample", {}),
    ("PUT", "/mnist/sample", {}),
    ("GET", "/mnist/sample/", {}),
    ("POST", "/translate/horse2zebra", {}),
    ("POST", "/translate/horse2zebra", {"Content-Type": "image/png"}),
    ("POST", "/translate/horse2zebra?size=7", {"Content-Type": "image/png"}),
    ("POST", "/translate/horse2cow", {"Content-Type": "image/png"}),
    ("POST", "/translate/a%2Fb", {"Content-Type": "image/png"}),
    ("POST", "/translate/", {"Content-Type": "image/png"}),
    ("GET", "/translate/horse2zebra", {}),
]


async def test_the_fast_path_gives_the_same_responses_as_the_router(
    make_app: Callable[..., FastAPI], serve: Callable[[FastAPI], Awaitable[httpx.AsyncClient]]
) -> None:
    fast, slow = make_app(), make_app()
    # a layer names its class as a factory of any kind, hence the overlap
    slow.user_middleware = [layer for layer in slow.user_middleware if layer.cls is not FastPath]  # type: ignore[comparison-overlap]
    assert len(slow.user_middleware) == len(fast.user_middleware) - 1
    clients = [await serve(app) for app in (fast, slow)]
    for method, path, headers in REQUESTS:
        named = {**headers, "X-Request-Id": "same"}
        one, other = await asyncio.gather(*(client.request(method, path, headers=named) for client in clients))
        assert seen(one) == seen(other), (method, path)


def seen(response: httpx.Response) -> tuple[int, dict[str, str], Any]:
    headers = {name: value for name, value in response.headers.items() if name != "server-timing"}
    return response.status_code, headers, response.content
