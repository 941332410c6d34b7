from collections.abc import Awaitable, Callable

import httpx
import pytest
from fastapi import FastAPI

pytestmark = pytest.mark.anyio

Serve = Callable[[FastAPI], Awaitable[httpx.AsyncClient]]


@pytest.mark.parametrize(
    ("method", "path", "place"),
    [
        ("POST", "/translate/horse2zebra/?size=64", "../horse2zebra?size=64"),
        ("GET", "/mnist/sample/?seed=1&count=2", "../sample?seed=1&count=2"),
        ("GET", "/docs/", "../docs"),
        ("POST", "/translate/a:b%3F/", "../a%3Ab%3F"),
        ("HEAD", "/models/", "../models"),
    ],
)
async def test_a_slash_too_many_leads_to_a_place_relative_to_the_request(
    client: httpx.AsyncClient, method: str, path: str, place: str
) -> None:
    response = await client.request(method, path)
    assert (response.status_code, response.headers["location"]) == (307, place)


@pytest.mark.parametrize("path", ["/nowhere/", "/models//", "//models/", "//other.example.org/", "/docs/files/"])
async def test_other_paths_lead_nowhere(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(f"http://test{path}")
    assert response.status_code == 404


async def test_behind_a_proxy_that_keeps_the_prefix(make_app: Callable[..., FastAPI], serve: Serve) -> None:
    client = await serve(make_app(root_path="/apps/gan"))
    for path in ("/", "/docs", "/openapi.json", "/models", "/mnist/sample", "/healthz/live"):
        assert (await client.get(f"/apps/gan{path}")).status_code == 200
    assert (await client.get("/healthz/live")).status_code == 200  # a probe does not come through the proxy
    assert 'route="/mnist/sample"' in (await client.get("/metrics")).text
    moved = await client.get("/apps/gan/models/", follow_redirects=True)
    assert (moved.status_code, moved.url.path) == (200, "/apps/gan/models")
    assert (await client.get("/apps/ganmodels")).status_code == 404
