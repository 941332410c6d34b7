"""Tries the service as a bad day does, and writes down what failed.

    make chaos            every trial but the long ones: about 20 minutes
    make soak             half an hour of mixed traffic (MINUTES=30)
    make fuzz             the codecs' test images, then an hour of changed images (MINUTES=60)
    python -m benchmarks.reliability chaos --only reloads sigterms

Each trial starts services of its own on free ports of this machine, and writes its finding to --out. `python -m
benchmarks.reliability.page` renders them as docs/operating/reliability.md. The exit status is 1 when any trial failed.
"""

import argparse
import functools
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from benchmarks.reliability import batcher, fuzz, model_files, reloads, resources, soak, traffic
from benchmarks.reliability.report import RESULTS, Finding, commit
from benchmarks.report import ROOT


class Trial(Protocol):
    """Tries something with the files of an empty folder. The short form takes seconds."""

    def __call__(self, folder: Path, short: bool) -> Finding:
        """Returns what was found."""
        ...


CHAOS: dict[str, Trial] = {
    "batcher": batcher.batcher,
    "overload": traffic.overload,
    "clients-leave": traffic.clients_leave,
    "sigterms": traffic.sigterms,
    "stopped": traffic.stopped,
    "reloads": reloads.reloads,
    "model-files": model_files.model_files,
    "checkpoint-kills": resources.checkpoint_kills,
    "full-disk": resources.full_disk,
    "descriptors": resources.descriptors,
    "memory": resources.memory,
    "codec-kills": resources.codec_kills,
}
"""Trials by name."""
CORPORA = ROOT / "build" / "corpora"


def main() -> None:
    """Reads the command line, runs the trials, writes and prints the findings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["chaos", "soak", "fuzz"])
    parser.add_argument("--only", nargs="+", choices=CHAOS, default=list(CHAOS), metavar="TRIAL", help="of chaos")
    parser.add_argument("--minutes", type=float, help="of soak (default 30) and fuzz (default 60)")
    parser.add_argument("--seed", type=int, default=1, help="of the changes of fuzz")
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    trials: list[Callable[[Path], Finding]]
    if chosen.kind == "chaos":
        trials = [functools.partial(CHAOS[name], short=False) for name in chosen.only]
    elif chosen.kind == "soak":
        trials = [lambda folder: soak.soak(folder, chosen.minutes or 30)]
    else:
        files = CORPORA if CORPORA.is_dir() else None
        trials = [lambda folder: fuzz.mutations(folder, chosen.minutes or 60, chosen.seed, files)]
        if files is not None:
            trials.insert(0, lambda folder: fuzz.corpora(folder, files))
        else:
            print(f"there are no corpora in {CORPORA}: python -m benchmarks.reliability.corpora {CORPORA}", flush=True)
    passed = True
    for trial in trials:
        with tempfile.TemporaryDirectory(prefix="reliability-") as scratch:
            began_at = commit()
            finding = trial(Path(scratch))
        finding.save(chosen.out, _command(chosen.kind, finding.name, chosen.minutes), began_at)
        passed &= not finding.failed
        print(
            f"{finding.name}: {'FAILED' if finding.failed else 'passed'}; {finding.tried}; {finding.figures}",
            flush=True,
        )
        for one in finding.failed[:20]:
            print(f"    {one}", flush=True)
    sys.exit(not passed)


def _command(kind: str, name: str, minutes: float | None) -> str:
    """Returns the command that repeats a trial."""
    options = ["--only", name] if kind == "chaos" else ["--minutes", f"{minutes:g}"] if minutes else []
    return shlex.join(["python", "-m", "benchmarks.reliability", kind, *options])


if __name__ == "__main__":
    main()
