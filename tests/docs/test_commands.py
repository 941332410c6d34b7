"""Every command of the pages for newcomers runs, in the order of the page, in a copy of the repository.

Commands are fenced blocks `sh`, `python` and `javascript`. What cannot run here is in NOT_RUN, with the reason.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "docs/start/quickstart.md", "docs/start/own-pair.md", "docs/calling/guide.md"]
INSTALLS = "installs what the environment of the tests has already; test_wheel.py installs the wheel"
NOT_RUN = {
    "make test": "runs this test",
    "docker compose up --build": "needs Docker; `make docker-test` runs it",
    "pip install .": INSTALLS,
    ".venv/bin/python -m pip install '.[client]'": INSTALLS,
    "pip install --require-hashes -r requirements/cuda.txt": "needs an NVIDIA GPU",
    "pip install --no-deps .": "needs an NVIDIA GPU",
    "gan-serve": "serves what `make serve` serves, and test_wheel.py starts it from the wheel",
}
"""Commands that no test of this file runs: the reason."""
SHORTENED = {"--images 3000": "--images 2 --filters 2 --blocks 1"}
"""A fit of minutes runs for two steps, with a small network."""
PROGRAMS = {"python": [sys.executable, "-c"], "javascript": ["node", "--input-type=module", "--eval"]}
"""How a program is run, by its language."""
SERVES = {"make serve"}
"""Commands that run until they are stopped: the next command runs when the service is ready."""
LEFT_OUT = {"build", "data", "runs", "weights", "tests"}
"""Folders of the repository that no command needs."""


def left_out(folder: str, names: list[str]) -> set[str]:
    """What is not copied of a folder, for shutil.copytree."""
    hidden = {name for name in names if name.startswith(".") or name in {"__pycache__", "node_modules"}}
    return hidden | (LEFT_OUT if Path(folder) == ROOT else set())


def blocks(page: str) -> list[tuple[str, str]]:
    """(language, text) of each fenced block of commands."""
    return re.findall(r"^```(sh|python|javascript)\n(.*?)^```$", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[str]:
    """The shell's commands of a page: one a line, unless a backslash continues it."""
    text = "".join(text for language, text in blocks(page) if language == "sh")
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


class Copy:
    """A copy of the repository that looks installed, whose services listen on a port of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT, folder, ignore=left_out)
        (folder / ".venv").mkdir()
        for entry in Path(sys.prefix).iterdir():
            if entry.suffix != ".installed":
                (folder / ".venv" / entry.name).symlink_to(entry)
        for name in ("cpu", "cuda", "test", "train", "docs"):
            (folder / ".venv" / f"{name}.installed").touch()  # make does not install again
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GAN_", "OTEL_", "MAKE", "MFLAGS"))}
        self.environment = kept | {
            "PYTHONPATH": str(folder),
            "GAN_CLIENT_URL": self.url,
            "GAN_DEVICE": "cpu",
            "MAKEFLAGS": f"PORT={self.port}",
        }
        self.service: subprocess.Popen[bytes] | None = None

    def run(self, *command: str) -> str:
        """Runs a command to its end and returns what it prints. Raises AssertionError with it when it fails."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def serve(self, command: str) -> None:
        """Starts a service and waits until it is ready."""
        self.stop()
        self.service = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=self.folder, env=self.environment, start_new_session=True
        )
        for _ in range(600):
            assert self.service.poll() is None, f"{command} ended"
            try:
                urllib.request.urlopen(f"{self.url}/healthz/ready", timeout=5).close()
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        raise AssertionError(f"{command}: not ready after a minute")

    def stop(self) -> None:
        """Stops the service as Ctrl-C does, which reaches every process that the terminal started."""
        if self.service is None:
            return
        group, self.service = self.service, None
        os.killpg(group.pid, signal.SIGINT)
        group.wait(60)  # make
        for _ in range(600):
            try:
                os.killpg(group.pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.1)
        os.killpg(group.pid, signal.SIGKILL)
        raise AssertionError("the service runs a minute after Ctrl-C")


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Copy]:
    made = Copy(tmp_path / "repository")
    yield made
    made.stop()


def run_page(copy: Copy, page: str) -> list[str]:
    """Runs the blocks of a page in order, but for NOT_RUN. Returns what each command and program printed."""
    printed = []
    for language, text in blocks(page):
        if language != "sh":
            printed.append(copy.run(*PROGRAMS[language], text))
            continue
        for command in (line for line in text.replace("\\\n", " ").splitlines() if line.strip()):
            here = command.replace("http://127.0.0.1:8000", copy.url)
            for long, short in SHORTENED.items():
                here = here.replace(long, short)
            if command in SERVES:
                copy.serve(here)
            elif command not in NOT_RUN:
                command = here.replace("curl ", "curl --fail-with-body -sS ")
                printed.append(copy.run("bash", "-euo", "pipefail", "-c", command))
    return printed


def test_what_is_not_run_is_on_a_page() -> None:
    written = {command for page in PAGES for command in commands(page)}
    assert written >= NOT_RUN.keys() | SERVES
    assert all(any(long in command for command in written) for long in SHORTENED)


@pytest.mark.parametrize("page", PAGES)
def test_no_command_hides_in_another_kind_of_block(page: str) -> None:
    text = re.sub(
        r"^```(sh|python|javascript)\n.*?^```$", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE
    )
    assert "```" not in text
    assert not re.findall(r"^    +(?:\$ |curl|make|pip|python|docker|gan-|\.venv).*", text, re.MULTILINE)


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("docs/start/")])
def test_the_korean_page_has_the_same_commands(page: str) -> None:
    assert blocks(page.replace(".md", ".ko.md")) == blocks(page)


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs" / "lecture").glob("*.ko.md")))
def test_the_korean_lecture_has_the_same_formulas_and_lines_of_code(page: str) -> None:
    texts = [(ROOT / "docs" / "lecture" / name).read_text() for name in (page, page.replace(".ko.md", ".md"))]
    korean, english = (
        sorted(re.findall(r"^```math$.*?^```$|\]\([^)]*#L\d+\)", t, re.DOTALL | re.MULTILINE)) for t in texts
    )
    assert korean == english


def test_the_readme(copy: Copy) -> None:
    (printed,) = [text for text in run_page(copy, "README.md") if text]
    assert re.fullmatch(r"\(16, 28, 28\) mnist-conditional/\d+\n\(\d+, \d+\) horse2zebra/\d+\n", printed)
    assert Image.open(copy.folder / "digits.png").width == 8 * 28
    assert (
        Image.open(copy.folder / "zebras.webp").size == Image.open(copy.folder / "docs/images/nokota-horses.webp").size
    )


def test_the_quick_start(copy: Copy) -> None:
    run_page(copy, "docs/start/quickstart.md")
    assert Image.open(copy.folder / "sevens.png").size == (112, 112)
    assert Image.open(copy.folder / "horses.jpg").format == "JPEG"
    assert Image.open(copy.folder / "zebras" / "nokota-horses.webp").format == "WEBP"


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_the_guide_to_http(copy: Copy) -> None:
    printed = run_page(copy, "docs/calling/guide.md")
    refused = [text for text in printed if "unknown-direction" in text]
    assert len(refused) == 3  # by curl, Python and JavaScript
    assert '"urn:gan:problem:unknown-direction"' in refused[0]
    assert all("unknown-direction 404" in text for text in refused[1:])
    assert Image.open(copy.folder / "digits.png").width == 4 * 28
    assert [Image.open(copy.folder / f"zebras.{kind}").format for kind in ("png", "webp", "jpg")] == [
        "PNG",
        "WEBP",
        "JPEG",
    ]


def test_your_own_pair(copy: Copy) -> None:
    run_page(copy, "docs/start/own-pair.md")
    assert (copy.folder / "models" / "night2day" / "1" / "card.json").is_file()
    assert Image.open(copy.folder / "day.png").size == (128, 128)
