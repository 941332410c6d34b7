"""What a trial of the service's reliability found, and where its results are kept."""

import datetime
import json
import os
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.report import ROOT, processor

RESULTS = ROOT / "benchmarks" / "reliability" / "results"


@dataclass(frozen=True)
class Finding:
    """The outcome of one trial."""

    name: str
    """Name of the trial on the command line."""
    what: str
    """What was done to the service, in a sentence."""
    tried: str
    """How often, with units."""
    failed: list[str] = field(default_factory=list)
    """What should not have happened; empty if the trial passed."""
    lost: str = "nothing"
    """What clients or users lost."""
    figures: dict[str, float | str] = field(default_factory=dict)
    """Measured values by name, with their units in the name."""

    def save(self, folder: Path, command: str, commit: str) -> None:
        """Writes the finding with its command, the commit at its start, the machine, its load now, and the date."""
        folder.mkdir(parents=True, exist_ok=True)
        origin = {
            "command": command,
            "cores": len(os.sched_getaffinity(0)),
            "processor": processor(),
            "load_at_end": round(os.getloadavg()[1], 2),
            "commit": commit,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        }
        text = json.dumps({**asdict(self), **origin}, indent=1, ensure_ascii=False)
        (folder / f"{self.name}.json").write_text(text + "\n")


def commit() -> str:
    """Returns the commit of the checkout, from which services are started."""
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return head.stdout.strip()
