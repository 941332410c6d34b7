"""The packages import each other in one direction only, as the contracts in pyproject.toml say."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOT_FOR_SERVING = {
    "torch",
    "torchvision",
    "onnx",
    "onnxscript",
    "tensorboard",
    "matplotlib",
    "tqdm",
    "httpx",
    "tenacity",
    "ray",
    "training",
    "export",
    "gan_client",
    "gan_batch",
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


def test_the_service_runs_without_the_training_packages() -> None:
    result = subprocess.run([sys.executable, "-c", BLOCKED_IMPORT], cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "imported\n"), result.stderr


def test_imports_keep_to_the_contracts() -> None:
    """Import-linter gets a process of its own: it disables the loggers of the one that it runs in."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_command; lint_command()", "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
