"""Exports, checks and publishes the generators of a checkpoint as models/<name>/<version>/."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor

from export.generators import Exportable, generators_of
from export.onnx_file import embed_card, to_onnx
from export.parity import check_parity
from service.card import CARD_FILE, MODEL_FILE, ModelCard, Score, SizeRule, TensorSpec, Training, read_card, sha256_of
from training import checkpoint, provenance

SIZES = SizeRule(multiple=4, minimum=16)
BATCHES = (1, 3, 8)
SIDES = ((64, 64), (128, 96), (100, 160))


class PublishError(Exception):
    """What cannot be published: a version that is already there, scores that are none."""


def publish(source: Path, models: Path, version: str | None = None, suffix: str = "") -> list[Path]:
    """Publishes every generator of the checkpoint (or newest checkpoint of a run folder) `source`.

    `version` defaults to one more than the highest number there. Returns the new folders. Raises CheckpointError,
    ParityError or PublishError, and then leaves no folder behind.
    """
    state = checkpoint.read(source)
    lacking = {"images", "dataset", "provenance", "history"} - state.keys()
    if lacking:
        raise checkpoint.CheckpointError(
            f"{source} lacks {', '.join(sorted(lacking))}: it is not from a fit of this project"
        )
    ready = []
    for exportable in generators_of(state, suffix):
        chosen = version or _next_version(models / exportable.name)
        target = models / exportable.name / chosen
        if target.exists():
            raise PublishError(f"{target} is already published: choose another --version, or delete that folder")
        ready.append((*_export(exportable, chosen, state), target))
    for model, card, target in ready:  # all or none
        _write(model, card, target)
    return [target for _, _, target in ready]


def attach_scores(folder: Path, scores: tuple[Score, ...]) -> ModelCard:
    """Replaces the scores of a published model, in the card and inside the file; the graph and its weights stay."""
    card = read_card(folder).model_copy(update={"scores": scores})
    model = onnx.load(str(folder / MODEL_FILE))
    _write(model, card, folder)
    return read_card(folder)


def _export(exportable: Exportable, version: str, state: dict[str, Any]) -> tuple[onnx.ModelProto, ModelCard]:
    inputs, details = _describe(exportable)
    spec: TensorSpec = details["input"]
    axes = {i: axis for i, axis in enumerate(spec.shape) if isinstance(axis, str)}
    model = to_onnx(exportable.graph, inputs[1], spec.name, details["output"].name, axes)
    card = ModelCard(
        name=exportable.name,
        version=version,
        direction=exportable.direction,
        preset=exportable.preset,
        latent=exportable.latent,
        training=Training(
            images=state["images"],
            dataset=state["dataset"],
            config=_without_paths(state["config"]),
            history=tuple({**run, "config": _without_paths(run["config"])} for run in state["history"]),
            git_commit=state["provenance"]["git_commit"],
            torch=state["provenance"]["torch"],
        ),
        parity=check_parity(model.SerializeToString(), exportable.graph, inputs),
        export_git_commit=provenance.git_commit(),
        **details,
    )
    return model, card


def _without_paths(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in {"data", "out", "cache", "init"}}


def _describe(exportable: Exportable) -> tuple[list[Tensor], dict[str, Any]]:
    """Inputs to compare on, and the card's account of input and output."""
    dice = torch.Generator().manual_seed(0)
    if exportable.latent is not None:
        return [torch.randn(n, exportable.latent, generator=dice) for n in BATCHES], {
            "task": "sample",
            "input": TensorSpec(name="z", type="float32", shape=("N", exportable.latent), range="drawn from N(0, 1)"),
            "output": TensorSpec(name="digits", type="uint8", shape=("N", 28, 28), range="0 paper to 255 ink"),
        }
    images = [
        torch.randint(0, 256, (n, height, width, 3), dtype=torch.uint8, generator=dice)
        for n, (height, width) in zip(BATCHES, SIDES, strict=True)
    ]
    return images, {
        "task": "translate",
        "size": SIZES,
        "input": TensorSpec(name="image", type="uint8", shape=("N", "H", "W", 3), range="sRGB, 0 to 255"),
        "output": TensorSpec(name="translation", type="uint8", shape=("N", "H", "W", 3), range="sRGB, 0 to 255"),
    }


def _write(model: onnx.ModelProto, card: ModelCard, target: Path) -> None:
    """Puts both files in place at once: they are written beside the target, which is then swapped."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".publishing-") as scratch:
        fresh = Path(scratch) / "new"
        fresh.mkdir()
        embed_card(model, card)
        onnx.save(model, str(fresh / MODEL_FILE))
        card = card.model_copy(update={"sha256": sha256_of(fresh / MODEL_FILE)})
        (fresh / CARD_FILE).write_text(card.model_dump_json(indent=2) + "\n")
        if target.exists():
            shutil.move(target, Path(scratch) / "old")
        fresh.rename(target)


def _next_version(folder: Path) -> str:
    versions = [int(p.name) for p in folder.glob("*") if p.name.isdigit()]
    return str(max(versions, default=0) + 1)
