"""Makes the reference pair of translators from the data to the scores: fits, distils, publishes, times, evaluates.

    .venv/bin/python -m benchmarks.fitting.reference_pair --data data --weights weights --stretch 9

For a GPU that is available for some minutes at a time. When the time of `--stretch` is up, the command saves its state
and ends with exit status 75; the same command continues there and repeats no complete step. Evaluation needs no GPU
and comes last. With `--unjudged` it is left out: the same command runs it on another machine, in a copy of `--out`.
"""

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.report import ROOT
from service.card import MODEL_FILE
from training.cli import STOPPED
from training.data.errors import DataError
from training.generators import directions
from training.networks.pretrained import INCEPTION_FILE, MOBILENET_FILE, check_weights

STEPS = "--preset reference --compile --batch 4 8 --variants default"
TICKS = "--tick-images 10000"  # each tick writes half a gigabyte; by default there would be one every 17 s
FIT = f"--preset reference --batch 4 --rate 4e-4 --compile --minutes 17 {TICKS}"
DISTIL = f"--batch 4 --compile --minutes 8 {TICKS}"
WAYS = directions("horse2zebra")


class Step(NamedTuple):
    """One command for `python -m`."""

    name: str
    command: list[str]
    makes: tuple[Path, ...] = ()
    """Folders that the command refuses to overwrite: what an interrupted command left there is deleted first."""


@dataclass(frozen=True)
class Plan:
    """The folders, and the flags of both fits."""

    data: Path
    weights: Path
    out: Path
    fit: str = FIT
    distil: str = DISTIL
    judges: bool = True
    """Whether to evaluate."""

    @property
    def steps(self) -> Iterator[Step]:
        """All steps, in order."""
        runs, models = self.out / "runs", self.out / "models"
        data = ["--data", str(self.data)]
        yield Step("fit", ["training", "cyclegan", *data, "--out", str(runs / "reference"), *self.fit.split()])
        teacher = ["--teacher", str(runs / "reference")]
        yield Step(
            "distil", ["training", "distil", *data, "--out", str(runs / "compact"), *teacher, *self.distil.split()]
        )
        for run, suffix in (("reference", "-reference"), ("compact", "")):
            published = ["--models", str(models), f"--suffix={suffix}", "--version", "1"]
            made = tuple(models / f"{way}{suffix}" / "1" for way in WAYS)
            yield Step(f"publish {run}", ["export", "publish", str(runs / run), *published], made)
        yield Step("time CUDA", ["benchmarks.serving.cuda_options", "--models", str(models)])
        yield Step("time", ["benchmarks.fitting.step_cost", *STEPS.split()])
        if not self.judges:
            return
        scores = self.out / "scores"
        judged = ["--weights", str(self.weights), "--cache", str(self.out / "cache"), "--out", str(scores)]
        for way in WAYS:
            large, small = models / f"{way}-reference" / "1", models / way / "1"
            for folder, against in ((large, []), (small, ["--against", str(large / MODEL_FILE)])):
                name = folder.parent.name
                evaluate = ["training", "evaluate", str(folder / MODEL_FILE), *data, *judged, *against]
                yield Step(f"judge {name}", evaluate)
                yield Step(f"attach {name}", ["export", "scores", str(folder), str(scores / f"{name}.json")])


def go(plan: Plan, seconds: float) -> int:
    """Runs the steps that are not complete; returns 0, 75 when the time is up, or the status of a failed step."""
    end = time.monotonic() + seconds
    done = plan.out / "done.txt"
    plan.out.mkdir(parents=True, exist_ok=True)
    finished = done.read_text().splitlines() if done.exists() else []
    for name, command, makes in plan.steps:
        if name in finished:
            continue
        for folder in makes:
            shutil.rmtree(folder, ignore_errors=True)
        print(f"== {name}: {' '.join(command)}", flush=True)
        process = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT)
        over = True
        try:
            status = process.wait(max(0.0, end - time.monotonic()))
            over = False
        except subprocess.TimeoutExpired:
            process.terminate()  # a fit saves its state; any other step starts again
            status = process.wait()
        except KeyboardInterrupt:  # the terminal sends it to the step as well
            status = process.wait()
        if status == 0:
            with done.open("a") as log:
                log.write(f"{name}\n")
        if over:
            return STOPPED
        if status != 0:
            return status
    return 0


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="holds horse2zebra")
    parser.add_argument(
        "--weights", type=Path, default=ROOT / "weights", help="the feature networks of docs/fitting/scores.md"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "reference-pair", help="runs, models and scores")
    parser.add_argument("--stretch", type=float, default=float("inf"), metavar="MINUTES", help="stop after this time")
    parser.add_argument("--fit", default=FIT, help="flags of 'gan-train cyclegan' (default: %(default)s)")
    parser.add_argument("--distil", default=DISTIL, help="flags of 'gan-train distil' (default: %(default)s)")
    parser.add_argument("--unjudged", action="store_true", help="leave out the evaluation, which needs no GPU")
    given = parser.parse_args()
    data, weights, out = (path.resolve() for path in (given.data, given.weights, given.out))
    plan = Plan(data, weights, out, given.fit, given.distil, not given.unjudged)
    try:  # checks the feature networks before half an hour of fitting; the fit checks the images itself
        if plan.judges:
            check_weights(plan.weights, INCEPTION_FILE, MOBILENET_FILE)
    except DataError as error:
        sys.exit(f"reference_pair: {error}")
    sys.exit(go(plan, 60 * given.stretch))


if __name__ == "__main__":
    main()
