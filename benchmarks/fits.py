"""Fits of digits that a benchmark compares: run once, resumed where they stopped, read again when they are done."""

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Fits:
    """Where the data, the runs and the digit classifier are."""

    data: Path
    out: Path
    cache: Path

    def run(self, name: str, flags: str) -> Path:
        """Fits `gan-train gan` with `flags` into the run folder out/`name`, and returns that; what it says is in
        out/`name`.log."""
        folder = self.out / name
        self.out.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "training", "gan", "--data", self.data, "--out", folder, "--cache", self.cache]
        with self.log(name).open("a") as log:
            arguments = [*map(str, command), *flags.split()]
            subprocess.run(arguments, stdout=log, stderr=subprocess.STDOUT, check=True, cwd=ROOT)
        return folder

    def log(self, name: str) -> Path:
        """What the fit of that name said, in all its stretches."""
        return self.out / f"{name}.log"


def from_command_line(description: str | None, folder: str) -> Fits:
    """Reads --data, --out (by default runs/`folder`) and --cache."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / folder)
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "cache")
    arguments = parser.parse_args()
    return Fits(*(path.resolve() for path in (arguments.data, arguments.out, arguments.cache)))
