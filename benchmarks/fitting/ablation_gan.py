"""Fits the digits' GAN with every loss and regulariser, and for several lengths, and writes docs/lab/ablation-gan.md.

    .venv/bin/python -m benchmarks.fitting.ablation_gan --data data

Every cell is a fit of its own: it is resumed where it stopped, and skipped when it is complete. All cells take some
hours on one CPU core.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Literal, get_args

import matplotlib.pyplot as plt
import torch

from benchmarks.fitting.fits import RESULTS, Fits, fits_of, parser_of
from benchmarks.report import ROOT, processor, table
from training import checkpoint
from training.config.gan import Regulariser
from training.data.mnist import load_mnist
from training.evaluation.candidate import Candidate, from_network
from training.evaluation.digit_classifier import cached_classifier
from training.evaluation.digits import draw_digits
from training.generators import finished_generators
from training.images import to_signed
from training.losses.gan import GeneratorLoss
from training.metrics.fid import frechet_distance
from training.metrics.modes import histogram, kl_divergence
from training.networks.classifier import DigitClassifier

FOUND = RESULTS / "ablation-gan.json"
PAGE = ROOT / "docs" / "lab" / "ablation-gan.md"
PLOT = "ablation.png"
COMMON = "--clusters 64 --threads 1 --tick-images 60000"
CELL_IMAGES = 300_000
LENGTHS = (75_000, 150_000, 300_000, 600_000, 1_200_000)
SAMPLES = 10_000
DEFAULT = "--loss non_saturating --regulariser r1"
GRID = [f"--loss {loss} --regulariser {kind}" for loss, kind in product(get_args(GeneratorLoss), get_args(Regulariser))]
PLAN = [(flags, CELL_IMAGES) for flags in GRID] + [(DEFAULT, n) for n in LENGTHS if n != CELL_IMAGES]


@dataclass(frozen=True)
class Cell:
    """A fit and its scores, with the moving average of the weights, which is exported, and with the last weights."""

    flags: str
    images: int
    averaged_fd: float
    averaged_kl: float
    last_fd: float
    last_kl: float


class Judge:
    """Scores generators of digits in the classifier's features; those of the test digits are computed once."""

    def __init__(self, data: Path, cache: Path) -> None:
        self._train = load_mnist(data)
        self._classifier: DigitClassifier = cached_classifier(cache, self._train)
        self._real = self._features(load_mnist(data, train=False).images)
        self._shares = histogram(self._train.labels)

    @torch.no_grad()
    def _features(self, digits: torch.Tensor) -> torch.Tensor:
        return torch.cat([self._classifier.features(to_signed(part)) for part in digits.split(1000)])

    def floor(self) -> float:
        """FD of as many training digits, the lowest that a generator can be expected to reach."""
        return frechet_distance(self._features(self._train.images[:SAMPLES]), self._real)

    @torch.no_grad()
    def score(self, candidate: Candidate) -> tuple[float, float]:
        """FD from the test digits, and KL of the digits' histogram from the training set's."""
        samples, _ = draw_digits(candidate, SAMPLES, self._train.labels)
        made = self._features(samples)
        shares = histogram(self._classifier.classify(made).argmax(1))
        return frechet_distance(made, self._real), kl_divergence(shares, self._shares)


def cells(judge: Judge, fits: Fits) -> Iterator[Cell]:
    """Fits and scores the cells of PLAN, one by one."""
    for flags, images in PLAN:
        name = f"{flags.replace('--', '').replace(' ', '-')}-{images}"
        state = checkpoint.read(fits.digits(name, f"{COMMON} {flags} --images {images}"))
        (averaged,) = finished_generators(state)
        (last,) = finished_generators({**state, "averages": state["networks"]})
        yield Cell(flags, images, *judge.score(from_network(averaged)), *judge.score(from_network(last)))


def draw(curve: list[Cell], path: Path) -> None:
    """Plots FD against the number of digits seen."""
    figure, axes = plt.subplots(figsize=(6, 3.5))
    seen = [cell.images / 1000 for cell in curve]
    axes.semilogx(seen, [cell.last_fd for cell in curve], marker=".", label="last weights")
    axes.semilogx(seen, [cell.averaged_fd for cell in curve], marker=".", label="moving average")
    axes.set_xticks(seen, [f"{length:g}" for length in seen])
    axes.minorticks_off()
    axes.set_ylim(0)
    axes.set_xlabel("length of the fit, thousand digits")
    axes.set_ylabel("FD (digit classifier)")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)


def page(found: list[Cell], real_fd: float, machine: str) -> str:
    """docs/lab/ablation-gan.md."""
    curve = sorted((cell for cell in found if cell.flags == DEFAULT), key=lambda cell: cell.images)
    grid = [cell for cell in found if cell.images == CELL_IMAGES]
    return "\n".join(
        [
            "# The digits' GAN: what each part of the recipe is worth",
            "",
            f"`benchmarks/fitting/ablation_gan.py` writes this page. It ran on one core ({machine}), with one seed a",
            f"cell. All fits ran `gan-train gan {COMMON}` with the flags of their row.",
            "",
            f"Each score compares {SAMPLES:,} samples with the 10,000 test digits. FD is the Fréchet distance in the",
            f"digit classifier's features; as many training digits have {real_fd:.1f}. KL compares the histogram of",
            "the digits with that of the training set. Every fit is scored twice: with the averaged weights, which are",
            "exported, and with its last weights.",
            "",
            f"## Loss, regulariser and moving average, {CELL_IMAGES:,} digits seen",
            "",
            *table(
                ["flags", "FD, average", "KL, average", "FD, last weights", "KL, last weights"], _rows(grid, "flags")
            ),
            "",
            "## Quality against digits seen",
            "",
            "Each length is a fit of its own, since the learning rate falls to zero over the second half of every fit.",
            "",
            f"![FD against the length of the fit](../images/{PLOT})",
            "",
            *table(
                ["digits", "FD, average", "KL, average", "FD, last weights", "KL, last weights"], _rows(curve, "images")
            ),
            "",
        ]
    )


def _rows(chosen: list[Cell], name: Literal["flags", "images"]) -> list[list[str]]:
    first = [f"`{cell.flags}`" if name == "flags" else f"{cell.images:,}" for cell in chosen]
    return [
        [head, f"{c.averaged_fd:.1f}", f"{c.averaged_kl:.4f}", f"{c.last_fd:.1f}", f"{c.last_kl:.4f}"]
        for head, c in zip(first, chosen, strict=True)
    ]


def main() -> None:
    """Reads the command line."""
    fits = fits_of(parser_of(__doc__, "ablation").parse_args())
    judge, found = Judge(fits.data, fits.cache), []
    for cell in cells(judge, fits):
        print(cell, flush=True)
        found.append(cell)
    curve = sorted((cell for cell in found if cell.flags == DEFAULT), key=lambda cell: cell.images)
    draw(curve, ROOT / "docs" / "images" / PLOT)
    FOUND.write_text(json.dumps([asdict(cell) for cell in found], indent=1) + "\n")
    PAGE.write_text(page(found, judge.floor(), processor()))
    print(f"written: {PAGE.relative_to(ROOT)}, its plot and {FOUND.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
