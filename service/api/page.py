"""The pages for people: GET / to try the service in a browser, and GET /docs with the API's documentation.

Their links are relative, so that they work behind any path prefix of a proxy.
"""

import functools
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html

from service.api.caching import etag_of, not_modified
from service.api.context import context_of
from service.api.security import page_policy
from service.card import Task

router = APIRouter(include_in_schema=False)

DOCS_FILES = "/docs/files"
"""Where the files of the documentation's page are."""

_PAGE = Path(__file__).resolve().parent / "static" / "index.html"
_METRICS_LINK = ' · <a href="metrics">metrics</a>'


@router.get("/")
async def page(request: Request) -> Response:
    """Returns the page: one file that loads nothing from other hosts."""
    context = context_of(request)
    tasks = frozenset(model.card.task for model in context.registry.models)
    html, headers = _rendered(context.settings.management_port is None, tasks)
    return not_modified(request.scope, headers) or Response(html, media_type="text/html", headers=headers)


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Returns the documentation of the API, which needs no internet."""
    html, headers = _documentation()
    return not_modified(request.scope, headers) or Response(html, media_type="text/html", headers=headers)


@functools.cache
def _rendered(metrics_here: bool, tasks: frozenset[Task]) -> tuple[str, dict[str, str]]:
    html = _PAGE.read_text(encoding="utf-8")
    for task in tasks:  # the page shows what the loaded models do
        html = html.replace(f' data-task="{task}" hidden', "")
    html = html if metrics_here else html.replace(_METRICS_LINK, "")
    return html, _headers(html, page_policy(html))


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
