"""Fits a GAN that collapses and the same GAN cured, and writes docs/lab/collapse.md with a plot of both.

    .venv/bin/python -m benchmarks.fitting.mode_collapse --data data

Each of the two runs sees 128,000 digits, a few minutes on one CPU core. Complete runs are only drawn again.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from benchmarks.fitting.fits import Fits, fits_of, parser_of
from benchmarks.report import ROOT, processor
from training.stats import read_stats

COMMON = "--images 128000 --tick-images 16000 --collapse-warmup-images 32000 --discriminator-rate 2e-3 --threads 1"
RUNS = {
    "collapsed": "--loss minimax --regulariser none",
    "cured": "--loss non_saturating --regulariser r1",
}


def fit(fits: Fits, name: str) -> str:
    """Runs one fit; returns the first warning in its output."""
    fits.digits(name, f"{COMMON} {RUNS[name]}")
    return next((line for line in fits.log(name).read_text().splitlines() if line.startswith("WARNING")), "none")


def draw(out: Path, path: Path) -> None:
    """Plots the last samples of both runs above their likelihoods and modes."""
    figure, axes = plt.subplots(3, 2, figsize=(8, 9), height_ratios=(4, 1.6, 1.2), sharex="row")
    for column, name in enumerate(RUNS):
        lines = read_stats(out / name)
        seen = [line["images"] / 1000 for line in lines]
        samples, likelihoods, modes = axes[:, column]
        samples.imshow(np.asarray(Image.open(sorted((out / name / "samples").glob("*.png"))[-1])), cmap="gray")
        samples.set_title(f"{name}\n{RUNS[name]}", fontsize="small")
        samples.axis("off")
        likelihoods.plot(seen, [line["likelihood_real"] for line in lines], label="D(x)")
        likelihoods.plot(seen, [line["likelihood_fake"] for line in lines], label="D(G(z))")
        likelihoods.axhline(0.5, color="grey", linewidth=0.5)
        likelihoods.set_ylim(-0.03, 1.03)
        modes.plot(seen, [line["modes"] for line in lines])
        modes.set_ylim(0, 10.5)
        modes.set_xlabel("thousand images seen")
    axes[1, 0].legend(fontsize="small")
    axes[2, 0].set_ylabel("digits above 1%")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def page(out: Path, warnings: dict[str, str]) -> str:
    """docs/lab/collapse.md."""
    rows = []
    for name, flags in RUNS.items():
        last = read_stats(out / name)[-1]
        rows.append(
            f"| {name} | `{flags}` | {last['likelihood_real']:.3f} | {last['likelihood_fake']:.3f} "
            f"| {last['modes']:.0f} | {last['kl_from_training']:.3f} |"
        )
    return "\n".join(
        [
            "# A GAN that fails, and its cure",
            "",
            f"`benchmarks/fitting/mode_collapse.py` writes this page. It ran on one core of {processor()}.",
            "",
            "In the minimax game the gradient of the generator's loss with respect to D's logit is -D(G(z)). A",
            "discriminator that learns fast and is not regularised is certain before the generator has learnt",
            "anything: D(x) goes to 1 and D(G(z)) to 0. From then on the generator gets almost no gradient. It",
            "makes the same noise for every z, which the digit classifier reads as two or three digits (left).",
            "The same networks at the same rates learn all ten digits when the generator maximises log D(G(z))",
            "and D has the R1 penalty on its slope (right).",
            "",
            "![collapsed and cured](../images/collapse.png)",
            "",
            "| run | flags | D(x) | D(G(z)) | digits above 1% | KL from the training set |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            f"Both runs had `{COMMON}`.",
            "The figures are those of the last tick, where the digit classifier labels 1,000 samples.",
            "The collapsed run prints this warning:",
            "",
            f"    {warnings['collapsed']}",
            "",
            f"Warnings of the cured run: {warnings['cured']}.",
            "",
        ]
    )


def main() -> None:
    """Reads the command line."""
    fits = fits_of(parser_of(__doc__, "collapse").parse_args())
    warnings = {name: fit(fits, name) for name in RUNS}
    draw(fits.out, ROOT / "docs" / "images" / "collapse.png")
    (ROOT / "docs" / "lab" / "collapse.md").write_text(page(fits.out, warnings))
    print("written: docs/lab/collapse.md, docs/images/collapse.png")


if __name__ == "__main__":
    main()
