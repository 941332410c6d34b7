import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_FOR_SERVING = {
    "torch",
    "torchvision",
    "onnx",
    "onnxscript",
    "tensorboard",
    "matplotlib",
    "tqdm",
    "training",
    "export",
}

#: Makes these packages impossible to import, then imports all that `gan-serve` runs.
BLOCKED_IMPORT = f"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {NOT_FOR_SERVING!r}:
            raise AssertionError("the service imports " + name)

sys.meta_path.insert(0, Refuse())
import service.app, service.cli
print("imported")
"""


def imported_by(package: str) -> Iterator[tuple[Path, str]]:
    """Every (file, top-level package it imports), wherever in the file."""
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield file, alias.name.partition(".")[0]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield file, node.module.partition(".")[0]


def test_the_service_runs_without_the_training_packages() -> None:
    result = subprocess.run([sys.executable, "-c", BLOCKED_IMPORT], cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "imported\n"), result.stderr


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [("service", NOT_FOR_SERVING), ("training", {"export", "service"}), ("export", {"tests"})],
)
def test_dependencies_point_one_way(package: str, forbidden: set[str]) -> None:
    assert [(str(file), name) for file, name in imported_by(package) if name in forbidden] == []


def test_the_scan_sees_imports() -> None:
    assert "torch" in {name for _, name in imported_by("training")}
    assert "service" in {name for _, name in imported_by("export")}
