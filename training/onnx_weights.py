"""Published translators as a start of new fits: their weights come back out of the .onnx files."""

import json
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto, numpy_helper

from training.checkpoint import CheckpointError
from training.generators import directions

PREFIX = "generator."
"""What export's graphs call the network."""


def other_way(path: Path, direction: str) -> Path:
    """Where the opposite translation of the same variant and version is, if it is published."""
    version = path.resolve().parent
    variant = version.parent.name.replace(direction, directions(direction)[1], 1)
    return version.parent.parent / variant / version.name / path.name


def read(path: Path) -> dict[str, Any]:
    """What a checkpoint would hold of one generator, G or F: averaged weights, settings and history.

    `path`: the .onnx file of one direction. Raises CheckpointError with what is missing.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # onnx raises many kinds for a file that is none
        raise CheckpointError(f"{path} is not a readable ONNX file ({type(error).__name__})") from error
    meta = {p.key: p.value for p in model.metadata_props}
    if meta.get("task") != "translate":
        raise CheckpointError(
            f"{path} is no translator that gan-export published: of .onnx files only those start fits"
        )
    learnt = [t for t in model.graph.initializer if t.name.startswith(PREFIX) and t.name.endswith((".weight", ".bias"))]
    if any(tensor.data_type == TensorProto.FLOAT16 for tensor in learnt):
        raise CheckpointError(f"{path} has its weights rounded to half precision: give the model.onnx beside it")
    try:
        card = json.loads(meta["model_card"])["training"]
        training = {"images": card["images"], "config": card["config"], "history": list(card.get("history", []))}
        pair, reverse = directions(training["config"]["pair"])
        network = {pair: "G", reverse: "F"}[meta["direction"]]
        weights = {t.name.removeprefix(PREFIX): torch.from_numpy(numpy_helper.to_array(t).copy()) for t in learnt}
        task = "distil" if "teacher_weight" in training["config"] else "cyclegan"
        return {"task": task, **training, "networks": {network: weights}, "averages": {network: weights}}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(f"{path} or its card lacks {error}: publish it again") from error
