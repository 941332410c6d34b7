import re

import httpx
import pytest

pytestmark = pytest.mark.anyio


async def test_the_page_is_served(client: httpx.AsyncClient) -> None:
    response = await client.get("/")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<html" in response.text


async def test_the_page_loads_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    text = (await client.get("/")).text
    assert re.findall(r"""(?:src=|@import|url\(|<link[^>]*href=)\s*["']?(?:https?:)?//[^"'\s>)]+""", text) == []
