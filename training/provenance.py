"""The version of the code that fits a model."""

import subprocess
from functools import cache
from pathlib import Path

import torch


@cache
def git_commit() -> str:
    """The checkout's commit, with "-dirty" when tracked files differ from it; "unknown" outside a checkout.

    Read once per process, when it starts: the checkout may change while a fit runs the code that it has loaded.
    """
    root = Path(__file__).resolve().parent.parent
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--match="],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return result.stdout.strip()


def describe() -> dict[str, str]:
    """Commit and library versions, for checkpoints and cards."""
    return {"git_commit": git_commit(), "torch": str(torch.__version__)}
