"""Writes docs/operating/reliability.md from the findings: python -m benchmarks.reliability.page"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.reliability.report import RESULTS
from benchmarks.report import ROOT, table

ORDER = (
    *("batcher", "overload", "clients-leave", "sigterms", "stopped", "reloads", "model-files", "checkpoint-kills"),
    *("full-disk", "descriptors", "memory", "codec-kills", "soak", "corpora", "mutations"),
)
"""The trials in the order of the page."""
EXPECTED = {
    "soak": "soak",
    "corpora": "fuzz",
    "mutations": "fuzz",
}
"""The kind of a trial that is not one of `chaos`."""
HEAD = """\
# Reliability

What has been done to the service, what failed, and what was lost. `benchmarks/reliability/page.py` writes this page
from `benchmarks/reliability/results/`. Each row has the command that repeats it, on any Linux machine:

    make chaos                # all trials but the long ones, about 25 minutes
    make soak MINUTES=30      # mixed traffic for half an hour
    make fuzz MINUTES=60      # fetches the codecs' test images (Debian), sends them, then changed images for an hour

A trial starts the service in a process of its own, with the bundled models on the CPU. Clients run on the same cores.
"failed" is what should not have happened. "lost" is what clients or users lost in any case. The short form of each
trial of `make chaos` is in the tests (`tests/benchmarks/reliability/`), and so are a few seconds of the others.
"""
LIMITS = """\
## What this does not show

- The kernel's own killer: here a limit on the process's memory makes allocations fail, and the trial itself kills codec
  processes. `make docker-test` has the service killed by a container's memory limit, and started again.
- A GPU. The trials run on the CPU.
- A network between clients and the service: [proxies.md](proxies.md) says what a proxy adds.
- Latency on an idle machine: the machine of these runs was shared, so that only ratios within one run are given.
"""


def page(found: dict[str, dict[str, Any]]) -> str:
    """Returns the page for findings by the name of their trial."""
    rows = []
    for name in ORDER:
        one = found.get(name)
        if one is None:
            kind = EXPECTED.get(name, f"chaos --only {name}")
            rows.append([name, "", "", "not run yet", "", f"`python -m benchmarks.reliability {kind}`"])
            continue
        failed = "<br>".join(one["failed"][:5]) or "nothing"
        more = f"<br>and {len(one['failed']) - 5} more" if len(one["failed"]) > 5 else ""
        rows.append([name, one["what"], one["tried"], failed + more, one["lost"], f"`{one['command']}`"])
    lines = [HEAD, *table(["trial", "what was done", "tried", "failed", "lost", "command"], rows), "", "## Figures", ""]
    for name in ORDER:
        if name in found and found[name]["figures"]:
            lines += [f"### {name}", "", *_figures(found[name]), ""]
    machines = {
        (one["cores"], one["processor"], one["commit"], one["date"]): one["load_at_end"] for one in found.values()
    }
    lines += ["## Where", ""]
    for (cores, processor, commit, date), _ in sorted(machines.items()):
        names = [
            f"{name} (load {found[name]['load_at_end']:g} at its end)"
            for name in ORDER
            if name in found and (found[name]["commit"], found[name]["date"]) == (commit, date)
        ]
        lines.append(f"- {date}, commit {commit}, {cores} shared cores of an {processor}: {', '.join(names)}.")
    return "\n".join([*lines, "", LIMITS])


def _figures(one: dict[str, Any]) -> list[str]:
    return table(["figure", "value"], [[name, str(value)] for name, value in one["figures"].items()])


def main() -> None:
    """Reads the findings, writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "operating" / "reliability.md")
    chosen = parser.parse_args()
    found = {path.stem: json.loads(path.read_text()) for path in chosen.results.glob("*.json")}
    chosen.out.write_text(page(found))
    print(f"written: {chosen.out}")


if __name__ == "__main__":
    main()
