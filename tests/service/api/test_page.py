import base64
import hashlib
import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

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


async def test_a_page_that_the_browser_has_is_not_sent_again(client: httpx.AsyncClient) -> None:
    for path in ("/", "/docs"):
        first = await client.get(path)
        assert first.headers["cache-control"] == "no-cache"
        again = await client.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_a_page_runs_its_own_scripts_only(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)
    policy = dict(part.split(" ", 1) for part in response.headers["content-security-policy"].split("; "))
    assert (policy["default-src"], policy["frame-ancestors"], policy["base-uri"]) == ("'none'",) * 3
    assert "unsafe" not in policy["script-src"]
    for tag in ("script", "style"):
        for text in re.findall(rf"<{tag}>(.*?)</{tag}>", response.text, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy[f"{tag}-src"]
    assert not re.findall(r"<[^>]* on[a-z]+=", response.text)  # handlers in attributes would need unsafe-inline


async def test_the_page_links_to_metrics_only_where_they_are(
    client: httpx.AsyncClient, make_app: Callable[..., Any], serve: Callable[..., Any]
) -> None:
    assert 'href="metrics"' in (await client.get("/")).text
    apart = await serve(make_app(management_port=9))
    assert 'href="metrics"' not in (await apart.get("/")).text


@pytest.mark.parametrize(
    ("names", "hidden"),
    [
        (["mnist", "horse2zebra"], []),
        (["horse2zebra"], ["sample"]),
        (["mnist"], ["translate"]),
    ],
)
async def test_the_page_offers_what_the_models_do(
    tmp_path: Path,
    publish: Callable[..., Path],
    make_app: Callable[..., Any],
    serve: Callable[..., Any],
    names: list[str],
    hidden: list[str],
) -> None:
    for name in names:
        publish(tmp_path, name)
    text = (await (await serve(make_app(models=tmp_path))).get("/")).text
    assert re.findall(r'<section[^>]* data-task="(\w+)" hidden>', text) == hidden


@pytest.mark.parametrize(
    ("path", "accept", "language"),
    [
        ("/", "ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        ("/", "fr-FR, KO;q=0.5", "ko"),
        ("/", "ko;q=0, fr", "en"),
        ("/", None, "en"),
        ("/?lang=ko", "en-US", "ko"),
        ("/?seed=7&lang=xx", "en-US", "en"),
    ],
)
async def test_the_html_has_its_texts_before_any_script_runs(
    client: httpx.AsyncClient, path: str, accept: str | None, language: str
) -> None:
    response = await client.get(path, headers={"Accept-Language": accept} if accept else {})
    strings = json.loads((await client.get(f"/page/{language}.json")).content)
    html = response.text
    assert response.headers["content-language"] == language
    assert "Accept-Language" in response.headers["vary"].split(", ")
    assert f'<html lang="{language}">' in html
    for key, text in re.findall(r'<[^<>]*\bdata-i18n="([^"]+)"[^<>]*>(.*?)</(?!sub)', html):
        assert re.sub("<sub>(.*?)</sub>", r"_\1", unescape(text)) == strings[key]
        assert "{" not in text  # a value that only a script knows
    named = re.findall(r'data-i18n-(label|alt|placeholder)="([^"]+)" (?:aria-)?\1="([^"]*)"', html)
    assert len(named) == html.count("data-i18n-") > 10
    assert {(key, unescape(text)) for _, key, text in named} <= set(strings.items())


async def test_the_page_preloads_its_modules(client: httpx.AsyncClient) -> None:
    html = (await client.get("/")).text
    loaded, found = set(re.findall(r'<link rel="modulepreload" href="page/(\w+\.js)">', html)), {"main.js"}
    for name in loaded:
        found |= set(re.findall(r'from "\./(\w+\.js)"', (await client.get(f"/page/{name}")).text))
    assert loaded == found
