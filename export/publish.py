"""Exports, checks and publishes the generators of a checkpoint as models/<name>/<version>/."""

import logging
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from export.generators import Exportable, exportables
from export.half import to_half
from export.onnx_file import embed_card, to_onnx
from export.parity import Inputs, ParityError, check_half_parity, check_parity
from service.card import (
    CARD_FILE,
    HALF_FILE,
    MODEL_FILE,
    HalfPrecision,
    ModelCard,
    Score,
    SizeRule,
    TensorSpec,
    Training,
    read_card,
    sha256_of,
)
from training import checkpoint, provenance
from training.data.mnist import CLASSES
from training.evaluation.candidate import graph_sha256
from training.generators import FinishedGenerator
from training.networks.cyclegan import receptive_radius

log = logging.getLogger("export")

SIZES = SizeRule(multiple=4, minimum=16)
BATCHES = (1, 3, 8)
SIDES = ((256, 256), (128, 96), (64, 64))
"""Height and width beside each batch: the default served shape first."""
SMOOTH = 32
"""Pixels from one random colour to the next in smooth test images."""


class PublishError(Exception):
    """A model that cannot be published: its version exists already, or the scores belong to another file."""


class _Report(BaseModel):
    graph_sha256: str | None
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class _Export:
    """The content of one folder."""

    card: ModelCard
    model: onnx.ModelProto
    half: onnx.ModelProto | None
    """The same in half precision, if the card mentions it."""


def publish(source: Path, models: Path, version: str | None = None, suffix: str = "") -> list[Path]:
    """Publishes every generator that learnt in the checkpoint (or newest checkpoint of a run folder) `source`.

    `version` defaults to one more than the highest number of either direction there. Returns the new folders.
    Translations get a second file in half precision, unless its check fails, which logs a warning. Raises
    CheckpointError, ParityError or PublishError, and then leaves no folder behind.
    """
    provenance.git_commit()  # before anything that takes time
    state = checkpoint.read(source)
    lacking = {"images", "dataset", "provenance", "history"} - state.keys()
    if lacking:
        raise checkpoint.CheckpointError(
            f"{source} lacks {', '.join(sorted(lacking))}: it is not from a fit of this project"
        )
    if not all(isinstance(run, dict) and {"images", "config"} <= run.keys() for run in state["history"]):
        raise checkpoint.CheckpointError(
            f"{source} has a history of another kind: it is not from a fit of this project"
        )
    found, ready = list(exportables(state, suffix)), []
    chosen = version or str(max(_next_version(models / exportable.name) for exportable in found))
    for exportable in found:
        if not exportable.source.learnt:
            continue
        target = models / exportable.name / chosen
        if target.exists():
            raise PublishError(f"{target} is already published: choose another --version, or delete that folder")
        ready.append((_export(exportable, chosen, state), target))
    for export, target in ready:  # all or none
        _write(export, target)
    return [target for _, target in ready]


def attach_scores(folder: Path, report: Path) -> ModelCard:
    """Replaces the scores of a published model by those of 'gan-train evaluate', in the card and inside the files.

    The graphs and their weights do not change. Raises PublishError if the report is unreadable or of another file.
    """
    try:
        found = _Report.model_validate_json(report.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise PublishError(f"{report} is no report of 'gan-train evaluate' ({where}: {first['msg']})") from error
    card = read_card(folder)
    model = onnx.load(str(folder / MODEL_FILE))
    if found.graph_sha256 != graph_sha256(model):
        raise PublishError(f"{report} was made of a checkpoint or of another file: evaluate {folder / MODEL_FILE}")
    half = onnx.load(str(folder / HALF_FILE)) if card.half else None
    _write(_Export(card.model_copy(update={"scores": found.scores}), model, half), folder)
    return read_card(folder)


def _export(exportable: Exportable, version: str, state: dict[str, Any]) -> _Export:
    examples, details = _describe(exportable.source)
    inputs = tuple(spec for spec in (details["input"], details.get("label")) if spec is not None)
    model = to_onnx(exportable.graph, examples[1], inputs, details["output"])
    parity = check_parity(model.SerializeToString(), exportable.graph, examples)
    half, half_card = None, None
    if exportable.source.latent is None:  # digits are too small to gain from it
        half, half_card = _in_half(model, exportable, examples)
    card = ModelCard(
        name=exportable.name,
        version=version,
        direction=exportable.source.direction,
        preset=exportable.source.preset,
        training=Training(
            images=state["images"],
            dataset=state["dataset"],
            config=_without_paths(state["config"]),
            history=tuple(_history(state["history"], exportable.source.key)),
            git_commit=state["provenance"]["git_commit"],
            torch=state["provenance"]["torch"],
        ),
        parity=parity,
        half=half_card,
        export_git_commit=provenance.git_commit(),
        **details,
    )
    return _Export(card, model, half)


def _in_half(
    model: onnx.ModelProto, exportable: Exportable, examples: Inputs
) -> tuple[onnx.ModelProto, HalfPrecision] | tuple[None, None]:
    """The model in half precision and its part of the card; None for both, with a warning, if its check fails."""
    half = to_half(model)
    try:
        return half, HalfPrecision(parity=check_half_parity(half, exportable.graph, examples))
    except ParityError as error:
        log.warning("%s: %s", exportable.name, error)
        return None, None


def _history(runs: list[dict[str, Any]], network: str) -> Iterator[dict[str, Any]]:
    """The runs that one network went through, in a card's form."""
    for run in runs:
        if network in run.get("networks", [network]):
            yield {"images": run["images"], "config": _without_paths(run["config"])}


def _without_paths(config: dict[str, Any]) -> dict[str, Any]:
    paths = {"data", "out", "cache", "init", "extrapolate_from", "teacher", "weights"}
    return {name: value for name, value in config.items() if name not in paths}


def _describe(source: FinishedGenerator) -> tuple[list[tuple[Tensor, ...]], dict[str, Any]]:
    """Inputs to compare on, and the card's fields about input and output."""
    dice = torch.Generator().manual_seed(0)
    if source.latent is not None:
        examples: list[tuple[Tensor, ...]] = [(torch.randn(n, source.latent, generator=dice),) for n in BATCHES]
        details = {
            "task": "sample",
            "latent": source.latent,
            "input": TensorSpec(name="z", type="float32", shape=("N", source.latent), range="drawn from N(0, 1)"),
            "output": TensorSpec(name="digits", type="uint8", shape=("N", 28, 28), range="0 paper to 255 ink"),
        }
        if source.conditional:
            examples = [(z, torch.randint(CLASSES, (len(z),), generator=dice)) for (z,) in examples]
            details["label"] = TensorSpec(name="label", type="int64", shape=("N",), range="the digit, 0 to 9")
        return examples, details
    images: list[tuple[Tensor, ...]] = [
        (_test_images(n, height, width, dice),) for n, (height, width) in zip(BATCHES, SIDES, strict=True)
    ]
    return images, {
        "task": "translate",
        "size": SIZES.model_copy(update={"receptive_radius": receptive_radius(source.network)}),
        "input": TensorSpec(name="image", type="uint8", shape=("N", "H", "W", 3), range="sRGB, 0 to 255"),
        "output": TensorSpec(name="translation", type="uint8", shape=("N", "H", "W", 3), range="sRGB, 0 to 255"),
    }


def _test_images(n: int, height: int, width: int, dice: torch.Generator) -> Tensor:
    """uint8 (n, height, width, 3): alternately smooth, which networks respond to as to photographs, and noise."""
    images = torch.randint(0, 256, (n, height, width, 3), dtype=torch.uint8, generator=dice)
    coarse = 255 * torch.rand(n, 3, height // SMOOTH, width // SMOOTH, generator=dice)
    smooth = nn.functional.interpolate(coarse, size=(height, width), mode="bilinear").to(torch.uint8)
    images[::2] = smooth.permute(0, 2, 3, 1)[::2]
    return images


def _write(export: _Export, target: Path) -> None:
    """Writes all files beside the target folder and then swaps it, so that it is never partial."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".publishing-") as scratch:
        fresh = Path(scratch) / "new"
        fresh.mkdir()
        card = export.card
        embed_card(export.model, card)
        onnx.save(export.model, str(fresh / MODEL_FILE))
        if card.half and export.half:
            embed_card(export.half, card)
            onnx.save(export.half, str(fresh / HALF_FILE))
            half = card.half.model_copy(update={"sha256": sha256_of(fresh / HALF_FILE)})
            card = card.model_copy(update={"half": half})
        card = card.model_copy(update={"sha256": sha256_of(fresh / MODEL_FILE)})
        (fresh / CARD_FILE).write_text(card.model_dump_json(indent=2) + "\n")
        if target.exists():
            shutil.move(target, Path(scratch) / "old")
        fresh.rename(target)


def _next_version(folder: Path) -> int:
    versions = [int(p.name) for p in folder.glob("*") if p.name.isdigit()]
    return max(versions, default=0) + 1
