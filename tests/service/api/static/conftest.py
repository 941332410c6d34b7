"""The page in a real Chromium, served by a real service. Skipped where no Chromium is installed."""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE_S = 15.0


@contextlib.contextmanager
def running(models: Path, *flags: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A service on a free port: its address and its process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GAN_", "OTEL_"))}
    command = [sys.executable, "-m", "service", "--port", "0", "--device", "cpu", "--models", str(models), *flags]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        for line in process.stderr:
            if found := re.search(r"service running on (http://\S+)", line):
                break
        else:
            pytest.fail("the service did not start")
        try:
            yield found[1], process
        finally:
            process.terminate()
            process.stderr.read()


@pytest.fixture(scope="session")
def all_models(tmp_path_factory: pytest.TempPathFactory, publish: Callable[..., Path]) -> Path:
    """A folder with a sampler, one with labels, and a pair of translators."""
    root = tmp_path_factory.mktemp("models")
    for name in ("mnist", "mnist-conditional", "horse2zebra", "zebra2horse"):
        publish(root, name)
    return root


@pytest.fixture(scope="session")
def address(all_models: Path) -> Iterator[str]:
    """Of a service with usual settings."""
    with running(all_models) as (found, _):
        yield found


@pytest.fixture
def start(all_models: Path) -> Iterator[Callable[..., tuple[str, subprocess.Popen[str]]]]:
    """`start(*flags, models=...)`: address and process of a service of the test's own."""
    with contextlib.ExitStack() as stack:
        yield lambda *flags, models=all_models: stack.enter_context(running(models, *flags))


@pytest.fixture(scope="module")  # not longer: while Playwright runs, no event loop can run in this thread
def browser() -> Iterator[Browser]:
    """Chromium, as the system has it."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS) as launched,
    ):
        yield launched


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """`open_page(**options)`: an empty page, in whose context no script may fail and no other host may be asked."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def make(**options: object) -> Page:
        context = browser.new_context(**{"locale": "en-GB", "reduced_motion": "reduce", **options})
        contexts.append(context)
        context.set_default_timeout(PATIENCE_S * 1000)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(f"{error}\n{error.stack}"))
        page.on("request", lambda request: foreign(request.url) and faults.append(f"asked {request.url}"))
        page.on("console", lambda line: "Content Security Policy" in line.text and faults.append(line.text))
        return page

    expect.set_options(timeout=PATIENCE_S * 1000)
    yield make
    for context in contexts:
        context.close()
    assert faults == []


def foreign(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "data:", "blob:"))


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    """A page in English on a large screen."""
    return open_page()


@pytest.fixture
def photograph() -> Callable[..., dict[str, object]]:
    """`photograph(width, height, format)`: a file for an upload, red on the left and blue on the right."""

    def draw(width: int = 256, height: int = 192, format: str = "PNG") -> dict[str, object]:
        image = Image.new("RGB", (width, height), "blue")
        image.paste("red", (0, 0, width // 2, height))
        buffer = io.BytesIO()
        image.save(buffer, format)
        return {"name": f"horse.{format.lower()}", "mimeType": f"image/{format.lower()}", "buffer": buffer.getvalue()}

    return draw


@pytest.fixture
def interpolation(page: Page) -> list[str]:
    """Addresses of the requests for interpolations."""
    asked: list[str] = []
    page.on("request", lambda request: "/mnist/interpolate?" in request.url and asked.append(request.url))
    return asked
