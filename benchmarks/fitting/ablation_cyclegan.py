"""Fits short CycleGANs that differ in one or two options, and writes docs/lab/ablation-cyclegan.md.

    .venv/bin/python -m benchmarks.fitting.ablation_cyclegan --data data --weights weights

Every cell is a fit of its own: it is resumed where it stopped, and skipped when it is complete. A cell takes seven
minutes on one CPU core with bf16, and some minutes more for its scores.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from PIL import Image
from torchvision.transforms import v2
from torchvision.utils import make_grid

from benchmarks.fitting.fits import RESULTS, Fits, fits_of, parser_of
from benchmarks.report import ROOT, processor, table
from training import checkpoint
from training.evaluation.evaluate import EvaluateConfig, evaluate
from training.evaluation.report import Report
from training.generators import directions, finished_generators
from training.images import to_signed, to_uint8

FOUND = RESULTS / "ablation-cyclegan.json"
PAGE = ROOT / "docs" / "lab" / "ablation-cyclegan.md"
IMAGE = "ablation-translations.webp"
PHOTOGRAPH = ROOT / "docs" / "images" / "nokota-horses.webp"
IMAGES = 1_000
COMMON = (
    "--preset compact --resize 286 --crop 128 --rate 4e-4 --identity-every 4 --decay-from 1 --threads 1 "
    "--tick-images 250"
)
LAST = "last"
"""Name of the cell with the first fit's last weights instead of their average."""
PLAN = (
    "",
    "--cycle-weight 0.5 --identity-weight 0",
    "--batch 4",
    "--rate 2e-4",
)
NAMES = {"": "none: the paper's losses and weights", LAST: "the same fit's last weights, not their average"}
METRICS = {
    "KID": "KID x 100 (Inception)",
    "labelled": "labelled zebra",
    "change": "mean change",
    "background": "change of the background",
    "cycle": "cycle error",
}
WAYS = directions("horse2zebra")


@dataclass(frozen=True)
class Cell:
    """A fit and the scores of its two directions: direction -> key of METRICS -> value."""

    flags: str
    scores: dict[str, dict[str, float]]


def cells(fits: Fits, weights: Path) -> Iterator[Cell]:
    """Fits and scores the cells of PLAN, one by one."""
    for flags in PLAN:
        run = fits.translations(name_of(flags), f"{COMMON} {flags} --images {IMAGES}")
        yield Cell(flags, scores_of(run, fits, weights))
        if not flags:
            yield Cell(LAST, scores_of(last_of(run, fits.out / name_of(LAST)), fits, weights))


def last_of(run: Path, folder: Path) -> Path:
    """Writes a checkpoint into `folder` with a run's last weights in place of their averages."""
    state = checkpoint.read(run)
    checkpoint.write(folder, {**state, "averages": {name: state["networks"][name] for name in state["averages"]}})
    return folder


def scores_of(run: Path, fits: Fits, weights: Path) -> dict[str, dict[str, float]]:
    """The scores of both directions of a run."""
    return {report.model: figures(report) for report in reports(run, fits, weights)}


def name_of(flags: str) -> str:
    """Name of a cell's run folder."""
    return "-".join([*(flags or "paper").replace("--", "").replace(",", " ").split(), str(IMAGES)])


def reports(run: Path, fits: Fits, weights: Path) -> list[Report]:
    """The reports of a run, from the files of an earlier call where they exist."""
    folder = fits.out / "scores" / run.name
    kept = [folder / f"{way}.json" for way in WAYS]
    if all(path.is_file() for path in kept):
        return [Report.model_validate_json(path.read_bytes()) for path in kept]
    return evaluate(EvaluateConfig(model=run, out=folder, data=fits.data, weights=weights, cache=fits.cache))


def figures(report: Report) -> dict[str, float]:
    """The scores of a report that the table shows."""
    values = {score.metric: score.value for score in report.scores}
    return {key: values[metric] for key, metric in METRICS.items()}


@torch.no_grad()
def draw(runs: list[Path], path: Path) -> None:
    """Draws the photograph's centre, and beside it the translation by each run's generator G."""
    photograph = v2.functional.pil_to_tensor(Image.open(PHOTOGRAPH).convert("RGB"))
    source = v2.functional.resize(v2.functional.center_crop(photograph, [512, 512]), [256, 256])[None]
    shown = [source]
    for run in runs:
        g, _ = finished_generators(checkpoint.read(run))
        shown.append(to_uint8(g.network(to_signed(source))))
    grid = make_grid(torch.cat(shown), nrow=4, padding=2, pad_value=255)
    v2.functional.to_pil_image(grid).save(path, quality=80)


def page(found: list[Cell], machine: str) -> str:
    """docs/lab/ablation-cyclegan.md."""
    head = ["flags", *(f"{key}, {way}" for way in WAYS for key in ("KID x 100", "labelled zebra"))]
    head += ["change", "of the background", "cycle error"]
    return "\n".join(
        [
            "# CycleGAN: what each part of the recipe is worth",
            "",
            f"`benchmarks/fitting/ablation_cyclegan.py` writes this page. It ran on one core ({machine}), with one",
            f"seed a cell. Every cell is a fit of {IMAGES:,} pairs, which takes minutes and is less than one epoch,",
            "where the paper has 200. The cells therefore say what helps a fit on a small budget.",
            "",
            "All fits ran this command with the flags of their row:",
            "",
            f"    gan-train cyclegan {COMMON}",
            "",
            "The scores are those of [scores.md](../scores.md), of the averaged weights, at",
            "256 px. Untranslated images have a KID x 100 of 20.2; MobileNetV2 labels 0% of the horses and 96% of the",
            "zebras as zebras. The last three columns are means of both directions, in grey levels of 255.",
            "",
            *table(head, [_row(cell) for cell in found]),
            "",
            *_missing(found),
            *_retired(found),
            "The photograph ([its source](../images/README.md)), followed by its translation by each row's generator:",
            "",
            f"![a photograph of horses, and its translations by the fits of the table](../images/{IMAGE})",
            "",
        ]
    )


def _missing(found: list[Cell]) -> list[str]:
    """Names the planned cells that are missing."""
    lacking = [f"`{flags}`" for flags in PLAN if flags not in {cell.flags for cell in found}]
    return [f"Planned and not fitted yet: {', '.join(lacking)}.", ""] if lacking else []


def _retired(found: list[Cell]) -> list[str]:
    """Names the cells of earlier plans, whose options may be gone."""
    retired = [f"`{cell.flags}`" for cell in found if cell.flags not in (*PLAN, LAST)]
    where = "[horse2zebra.md](horse2zebra.md#retired-options) says what they did"
    return [f"These options have been retired since; {where}: {', '.join(retired)}.", ""] if retired else []


def _row(cell: Cell) -> list[str]:
    row = [NAMES.get(cell.flags, f"`{cell.flags}`")]
    for way in WAYS:
        row += [f"{cell.scores[way]['KID']:.1f}", f"{cell.scores[way]['labelled']:.0%}"]
    means = (sum(cell.scores[way][key] for way in WAYS) / len(WAYS) for key in ("change", "background", "cycle"))
    return row + [f"{mean:.1f}" for mean in means]


def main() -> None:
    """Reads the command line."""
    parser = parser_of(__doc__, "ablation-translations")
    parser.add_argument("--weights", type=Path, default=ROOT / "weights")
    arguments = parser.parse_args()
    fits, found = fits_of(arguments), []
    for cell in cells(fits, arguments.weights.resolve()):
        print(cell, flush=True)
        found.append(cell)
    FOUND.write_text(json.dumps([asdict(cell) for cell in found], indent=1) + "\n")
    draw([fits.out / name_of(cell.flags) for cell in found], ROOT / "docs" / "images" / IMAGE)
    PAGE.write_text(page(found, processor()))
    print(f"written: {PAGE.relative_to(ROOT)}, its image and {FOUND.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
