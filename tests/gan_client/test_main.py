"""The installed command where its extra is not."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENTRY = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["gan-client"]


@pytest.mark.parametrize("missing", ["httpx", "tenacity", "tqdm"])
def test_without_its_extra_the_command_says_what_to_install(missing: str) -> None:
    module, function = ENTRY.split(":")  # as the installed command has them
    code = f"import sys; sys.modules[{missing!r}] = None; from {module} import {function}; {function}()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    said = f"gan-client: {missing} is not installed: the extra 'client' of gan-serving installs it\n"
    assert (done.returncode, done.stderr) == (2, said)


INTERRUPTED = """
import sys

class Interrupting:
    def find_spec(self, name, *_):
        if name == "httpx":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
"""
"""Ctrl-C during an import."""


def test_an_interrupt_during_the_imports_ends_the_command_quietly() -> None:
    module, function = ENTRY.split(":")
    code = f"{INTERRUPTED}from {module} import {function}; {function}()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")
