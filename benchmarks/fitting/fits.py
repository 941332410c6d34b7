"""Runs the fits that a benchmark compares; an interrupted one is resumed, a complete one is only read."""

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import ROOT

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True)
class Fits:
    """Folders of the data, of the runs and of the digit classifier."""

    data: Path
    out: Path
    cache: Path

    def digits(self, name: str, flags: str) -> Path:
        """Runs `gan-train gan` with `flags`; returns its run folder out/`name`. Its output goes to out/`name`.log."""
        return self._run("gan", name, f"--cache {self.cache} {flags}")

    def translations(self, name: str, flags: str) -> Path:
        """Runs `gan-train cyclegan` in the same way."""
        return self._run("cyclegan", name, flags)

    def _run(self, task: str, name: str, flags: str) -> Path:
        folder = self.out / name
        self.out.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "training", task, "--data", self.data, "--out", folder]
        with self.log(name).open("a") as log:
            arguments = [*map(str, command), *flags.split()]
            subprocess.run(arguments, stdout=log, stderr=subprocess.STDOUT, check=True, cwd=ROOT)
        return folder

    def log(self, name: str) -> Path:
        """File with the output of the fit `name`, over all its resumptions."""
        return self.out / f"{name}.log"


def parser_of(description: str | None, folder: str) -> argparse.ArgumentParser:
    """A parser of --data, --out (by default runs/`folder`) and --cache."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / folder)
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "cache")
    return parser


def fits_of(arguments: argparse.Namespace) -> Fits:
    """The folders that the command line names."""
    return Fits(*(path.resolve() for path in (arguments.data, arguments.out, arguments.cache)))
