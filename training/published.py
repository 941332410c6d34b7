"""Published translators as a start of new fits: their weights come back out of the .onnx files."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto, numpy_helper
from torch import Tensor

from training.checkpoint import CheckpointError
from training.generators import directions

PREFIX = "generator."
"""What export's graphs call the network."""


@dataclass(frozen=True)
class _Translator:
    """One direction, as its file has it."""

    way: str
    weights: dict[str, Tensor]
    training: dict[str, Any]
    """Images, settings and history of the fit, as its card has them."""


def other_way(path: Path, direction: str) -> Path:
    """Where the opposite translation of the same variant and version is, if it is published."""
    version = path.resolve().parent
    variant = version.parent.name.replace(direction, directions(direction)[1], 1)
    return version.parent.parent / variant / version.name / path.name


def read(path: Path) -> dict[str, Any]:
    """What a checkpoint of the pair would hold of networks, averages, settings and history; no discriminators.

    `path`: the .onnx file of either direction; the other one lies beside it as published. G and F are the averaged
    weights. Raises CheckpointError with what is missing.
    """
    here = _translator(path)
    opposite = other_way(path, here.way)
    if not opposite.is_file():
        raise CheckpointError(f"{path} translates one way, and {opposite} is not there: a fit needs both")
    back, training = _translator(opposite), here.training
    pair, reverse = directions(training["config"]["pair"])
    if {here.way, back.way} != {pair, reverse} or back.training != training:
        raise CheckpointError(f"{path} and {opposite} are not both directions of one fit: publish its checkpoint again")
    g, f = (here, back) if here.way == pair else (back, here)
    networks = {"G": g.weights, "F": f.weights}
    return {
        "task": "distil" if "teacher_weight" in training["config"] else "cyclegan",
        **training,
        "networks": networks,
        "averages": networks,
    }


def _translator(path: Path) -> _Translator:
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # onnx raises many kinds for a file that is none
        raise CheckpointError(f"{path} is not a readable ONNX file ({type(error).__name__})") from error
    meta = {p.key: p.value for p in model.metadata_props}
    if meta.get("task") != "translate":
        raise CheckpointError(f"{path} is no translator that gan-export published: give --init a checkpoint instead")
    learnt = [t for t in model.graph.initializer if t.name.startswith(PREFIX) and t.name.endswith((".weight", ".bias"))]
    if any(tensor.data_type == TensorProto.FLOAT16 for tensor in learnt):
        raise CheckpointError(f"{path} has its weights rounded to half precision: give the model.onnx beside it")
    try:
        card = json.loads(meta["model_card"])["training"]
        training = {"images": card["images"], "config": card["config"], "history": list(card.get("history", []))}
        directions(training["config"]["pair"])
        weights = {t.name.removeprefix(PREFIX): torch.from_numpy(numpy_helper.to_array(t).copy()) for t in learnt}
        return _Translator(meta["direction"], weights, training)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(f"{path} or its card lacks {error}: publish it again, or give a checkpoint") from error
