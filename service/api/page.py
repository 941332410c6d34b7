"""The pages for people: GET / to try the service in a browser, and GET /docs with the API's documentation.

Their links are relative, so that they work behind any path prefix of a proxy.
"""

import functools
import json
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html

from service.api.caching import etag_of, not_modified
from service.api.context import context_of
from service.api.params import header
from service.api.security import page_policy
from service.card import Task
from service.errors import Problem
from service.settings import Settings

router = APIRouter(include_in_schema=False)

DOCS_FILES = "/docs/files"
"""Where the files of the documentation's page are."""

FILES = "/page/"
"""Below this path are the files of the page: scripts, style, strings and images."""

LANGUAGES = ("en", "ko")
"""Languages of the page, the default first."""

_FOLDER = Path(__file__).resolve().parent / "static"
_PAGE = _FOLDER / "index.html"
_MEDIA_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".webp": "image/webp",
}


@router.get("/")
async def page(request: Request) -> Response:
    """Returns the page, which loads nothing from other hosts."""
    context = context_of(request)
    tasks = frozenset(model.card.task for model in context.registry.models)
    html, headers = _rendered(context.settings, tasks, _language_of(request))
    return not_modified(request.scope, headers) or Response(html, media_type="text/html", headers=headers)


@router.get(FILES + "{name:path}")
async def page_file(request: Request, name: str) -> Response:
    """Returns a file of the page. Names are looked up in a list: no path of a request is opened."""
    if name not in _files():
        raise Problem(404, "not-found", f"{request.url.path}: the page has no such file")
    body, media_type, headers = _files()[name]
    return not_modified(request.scope, headers) or Response(body, media_type=media_type, headers=headers)


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Returns the documentation of the API, which needs no internet."""
    html, headers = _documentation()
    return not_modified(request.scope, headers) or Response(html, media_type="text/html", headers=headers)


def _language_of(request: Request) -> str:
    """Returns the language that the address or the browser prefers: what i18n.js chooses too."""
    wished = [value for name, value in parse_qsl(request.url.query) if name == "lang"]
    for part in (header(request.scope, b"accept-language") or "").split(","):
        tag, _, quality = part.strip().lower().partition(";")
        if quality.replace(" ", "") not in ("q=0", "q=0.0"):
            wished.append(tag[:2])
    return next((name for name in wished if name in LANGUAGES), LANGUAGES[0])


@functools.cache
def _rendered(settings: Settings, tasks: frozenset[Task], language: str) -> tuple[str, dict[str, str]]:
    html = _filled(_PAGE.read_text(encoding="utf-8"), json.loads(_files()[f"{language}.json"][0]))
    html = html.replace('<html lang="en">', f'<html lang="{language}">')
    modules = sorted(name for name in _files() if name.endswith(".js"))  # loaded at once, not one import after another
    html = html.replace(
        "<!--modules-->", "\n".join(f'<link rel="modulepreload" href="page/{name}">' for name in modules)
    )
    for bound in ("body_bytes", "image_pixels"):  # the page shrinks images that exceed them
        html = html.replace(f"{{{bound}}}", str(getattr(settings, bound)))
    limit = settings.rate_limit.partition("/")[0] if settings.rate_limit else ""
    html = html.replace("{image_limit}", limit)  # the page asks for no more images at once
    for task in tasks:  # the page shows what the loaded models do
        html = html.replace(f' data-task="{task}" hidden', "")
    if settings.management_port is None:
        html = html.replace(" data-metrics hidden", "")
    else:
        html = re.sub("<!--metrics-->.*<!--/metrics-->", "", html)
    return html, {**_headers(html, page_policy(html)), "Content-Language": language, "Vary": "Accept-Language"}


def _filled(html: str, strings: Mapping[str, str]) -> str:
    """Fills the empty elements and the attributes that i18n.js fills, so that they can be read before it has loaded."""

    def with_text(match: re.Match[str]) -> str:
        text = re.sub(r"_([XY]|data)\b", r"<sub>\1</sub>", escape(strings[match["key"]], quote=False))
        return f"{match['tag']}{text}</"

    def with_attribute(match: re.Match[str]) -> str:
        name = {"label": "aria-label"}.get(match["kind"], match["kind"])
        return f'{match[0]} {name}="{escape(strings[match["key"]])}"'

    html = re.sub(r'(?P<tag><[^<>]*\bdata-i18n="(?P<key>[^"]+)"[^<>]*>)[^<>]*</', with_text, html)
    return re.sub(r'\bdata-i18n-(?P<kind>label|alt|placeholder)="(?P<key>[^"]+)"', with_attribute, html)


@functools.cache
def _files() -> dict[str, tuple[bytes, str, dict[str, str]]]:
    """Returns the content, the media type and the headers of each file, by its name below the folder."""
    files = {}
    for path in _FOLDER.rglob("*.*"):
        if path.suffix in _MEDIA_TYPES:
            body = path.read_bytes()
            headers = {"ETag": etag_of(body), "Cache-Control": "no-cache"}
            files[path.relative_to(_FOLDER).as_posix()] = body, _MEDIA_TYPES[path.suffix], headers
    return files


@functools.cache
def _documentation() -> tuple[str, dict[str, str]]:
    files = DOCS_FILES.removeprefix("/")
    response = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="GAN serving",
        swagger_js_url=f"{files}/swagger-ui-bundle.js",
        swagger_css_url=f"{files}/swagger-ui.css",
        swagger_favicon_url=f"{files}/favicon.png",
    )
    html = bytes(response.body).decode()
    return html, _headers(html, page_policy(html, styles="'self' 'unsafe-inline'"))


def _headers(html: str, policy: str) -> dict[str, str]:
    return {"ETag": etag_of(html), "Cache-Control": "no-cache", "Content-Security-Policy": policy}
