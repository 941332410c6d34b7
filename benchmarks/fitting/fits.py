"""Fits that a benchmark compares: run once, resumed where they stopped, read again when they are done."""

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import ROOT

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True)
class Fits:
    """Where the data, the runs and the digit classifier are."""

    data: Path
    out: Path
    cache: Path

    def digits(self, name: str, flags: str) -> Path:
        """Fits `gan-train gan` with `flags` into the run folder out/`name`, and returns that; what it says is in
        out/`name`.log."""
        return self._run("gan", name, f"--cache {self.cache} {flags}")

    def translations(self, name: str, flags: str) -> Path:
        """Fits `gan-train cyclegan` in the same way."""
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
        """What the fit of that name said, in all its stretches."""
        return self.out / f"{name}.log"


def parser_of(description: str | None, folder: str) -> argparse.ArgumentParser:
    """Takes --data, --out (by default runs/`folder`) and --cache."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / folder)
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "cache")
    return parser


def fits_of(arguments: argparse.Namespace) -> Fits:
    """Where the command line says they are."""
    return Fits(*(path.resolve() for path in (arguments.data, arguments.out, arguments.cache)))
