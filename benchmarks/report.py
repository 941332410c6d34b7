"""What every benchmark's report needs: the repository's root, a Markdown table, the processor's name."""

import platform
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def processor() -> str:
    """Name of the processor's model, or its architecture where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
