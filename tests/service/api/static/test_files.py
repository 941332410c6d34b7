"""The files of the page as a whole: small, served as they are, from this service alone."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import service.api.page

FOLDER = Path(service.api.page.__file__).parent / "static"
FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.*") if path.name != "index.html")
MOST_BYTES = 200_000
TYPES = {".css": "text/css", ".js": "text/javascript", ".json": "application/json", ".webp": "image/webp"}


def test_the_page_is_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*.*")) < MOST_BYTES


def test_nothing_names_another_host() -> None:
    texts = [path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.*") if path.suffix != ".webp"]
    addresses = set(re.findall(r"https?://[^\s\"'`]+", "\n".join(texts)))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a name, no link


@pytest.mark.anyio
async def test_every_file_is_served_and_only_once(client: httpx.AsyncClient) -> None:
    for name in FILES:
        response = await client.get(f"/page/{name}")
        assert response.content == (FOLDER / name).read_bytes(), name
        assert response.headers["content-type"].split(";")[0] == TYPES[Path(name).suffix]
        again = await client.get(f"/page/{name}", headers={"If-None-Match": response.headers["etag"]})
        assert (again.status_code, again.content) == (304, b""), name


@pytest.mark.anyio
async def test_no_other_file_is_served(client: httpx.AsyncClient, problem_of: Callable[..., dict[str, Any]]) -> None:
    for name in ("index.html", "nothing.js", "../page.py", "%2e%2e/page.py", "/etc/hostname", ""):
        problem_of(await client.get(f"/page/{name}"), 404, "not-found")


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".webp")])
def test_every_image_is_used(name: str) -> None:
    texts = "\n".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.*"))
    assert name in texts or f"{Path(name).stem}: " in texts
