"""The Makefile explains every target, and chooses one build of ONNX Runtime."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def make(*arguments: str) -> str:
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_help_explains_every_target() -> None:
    (targets,) = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    lines = [line.removeprefix("  make ") for line in make("help").splitlines()]
    explained = [name for line in lines for name in line[:31].split()]
    assert sorted(explained) == sorted(targets.split())
    assert all(len(line[31:].split()) > 2 for line in lines)


@pytest.mark.parametrize(("runtime", "other"), [("cpu", "onnxruntime-gpu"), ("cuda", "onnxruntime")])
def test_the_runtime_is_installed_from_its_lock_after_the_other_was_removed(runtime: str, other: str) -> None:
    steps = make("--dry-run", "--always-make", "serve", f"RUNTIME={runtime}").splitlines()
    (removal,) = (i for i, step in enumerate(steps) if f" uninstall --yes {other}" in step)
    (install,) = (i for i, step in enumerate(steps) if "--require-hashes" in step)
    assert steps[removal].endswith(f"--yes {other}")
    assert f"-r requirements/{runtime}.txt " in steps[install]
    assert removal < install
