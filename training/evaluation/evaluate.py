"""The `gan-train evaluate` command."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import CliPositionalArg

from training.data.errors import DataError
from training.data.mnist import load_mnist
from training.evaluation.candidate import Candidate, open_candidates
from training.evaluation.digit_classifier import cached_classifier
from training.evaluation.digits import draw_scored_digits, score_digits
from training.evaluation.report import Report, Score, write_report
from training.evaluation.translations import EQUINE_PAIR, Split, draw_contact_sheet, score_translation
from training.generators import directions
from training.networks.pretrained import INCEPTION_FILE, MOBILENET_FILE, check_weights
from training.onnx_weights import opposite


class EvaluateConfig(BaseModel):
    """Score a published .onnx file or a checkpoint."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")

    model: CliPositionalArg[Path]
    """The .onnx file, such as models/mnist/1/model.onnx; or a checkpoint, or the folder of a run."""
    out: Path = Path("runs/scores")
    """Folder for <name>.json, which 'gan-export scores' attaches, and for images: <name>.png of digits, the contact
    sheet <name>.jpg of translations."""
    data: Path = Path("data")
    """Folder that holds the data sets."""
    weights: Path | None = None
    """Folder with the Inception and MobileNetV2 weights; without it only our own classifier scores digits."""
    back: Path | None = None
    """The other direction's .onnx file, for a translation's cycle error; by default the checkpoint's own, or the
    published file of the same version."""
    against: Path | None = None
    """Another .onnx file or checkpoint of the same direction: the difference from it is scored as well."""
    cache: Path = Path("runs/cache")
    """Folder that keeps the digit classifier, the features of images, and Inception as ONNX."""
    samples: int = Field(10_000, ge=100)
    """Number of digits to generate."""
    split: Split = "test"
    """Images that are translated: those of the test folders, or 160 of the training images, to choose among checkpoints
    without a look at the test images."""


def evaluate(config: EvaluateConfig) -> list[Report]:
    """Scores every generator that learnt in the model, writes and returns the reports.

    Raises DataError or CheckpointError with the reason.
    """
    if not config.model.exists():
        raise DataError(f"{config.model} does not exist: give a published .onnx file, a checkpoint or a run's folder")
    found = list(open_candidates(config.model))
    candidates = [c for c in found if c.learnt]
    translations = {c.direction for c in candidates if c.direction}
    if config.weights is not None:
        labelled = translations & {*directions(EQUINE_PAIR)}
        check_weights(config.weights, INCEPTION_FILE, *([MOBILENET_FILE] if labelled else []))
    against = _open("against", config.against, translations)
    back = _open("back", config.back, {directions(name)[1] for name in translations})
    back = back or [*found, *_beside(config.model, translations)]
    reports = []
    for candidate in candidates:
        if candidate.direction:
            scores = _score_translation(candidate, candidate.direction, back, against, config)
        else:
            scores = _score_digits(candidate, config)
        reports.append(Report(model=candidate.name, graph_sha256=candidate.graph_sha256, scores=scores))
        print(f"written to {write_report(reports[-1], config.out)}")
    return reports


def _score_digits(candidate: Candidate, config: EvaluateConfig) -> list[Score]:
    train, test = load_mnist(config.data), load_mnist(config.data, train=False)
    classifier = cached_classifier(config.cache, train)
    scored = score_digits(candidate, classifier, train, test, config.samples, config.weights, config.cache)
    config.out.mkdir(parents=True, exist_ok=True)
    draw_scored_digits(scored, train.labels, config.out / f"{candidate.name}.png")
    return scored.scores


def _score_translation(
    candidate: Candidate, direction: str, back: list[Candidate], against: list[Candidate], config: EvaluateConfig
) -> list[Score]:
    if config.weights is None:
        raise DataError(
            "scoring translations needs --weights with the feature networks: docs/fitting/scores.md says which"
        )
    scored = score_translation(
        candidate,
        _of_direction(directions(direction)[1], back),
        _of_direction(direction, against),
        _pair_folder(config.data, direction),
        config.weights,
        config.cache,
        config.split,
    )
    draw_contact_sheet(scored.sources, scored.made, config.out / f"{candidate.name}.jpg")
    return scored.scores


def _open(option: str, path: Path | None, wanted: set[str]) -> list[Candidate]:
    """The candidates of an option. Raises DataError for a file without a `wanted` direction."""
    found = [] if path is None else list(open_candidates(path))
    if path is not None and not wanted & {c.direction for c in found}:
        raise DataError(f"--{option} {path} holds no {' or '.join(sorted(wanted)) or 'translation that is wanted'}")
    return found


def _beside(model: Path, translations: set[str]) -> Iterator[Candidate]:
    """The published file of the other direction with the same variant and version, if it exists."""
    for direction in translations:
        path = opposite(model, direction)
        if model.suffix == ".onnx" and path.is_file():  # a checkpoint holds both
            yield from open_candidates(path)


def _pair_folder(data: Path, direction: str) -> Path:
    """The folder of a translation's pair. Raises DataError if it does not exist."""
    names = directions(direction)
    for name in names:
        if (data / name).is_dir():
            return data / name
    raise DataError(f"{data} has neither {names[0]} nor {names[1]}: --data names the folder that holds the pair's")


def _of_direction(direction: str, candidates: list[Candidate]) -> Candidate | None:
    return next((c for c in candidates if c.direction == direction), None)
