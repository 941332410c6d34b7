"""Reads the weights of published translators back from their .onnx files, to start new fits from."""

import json
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto, numpy_helper

from training.checkpoint import CheckpointError
from training.generators import directions

PREFIX = "generator."
"""Prefix of the weights' names in exported graphs."""


def opposite(path: Path, direction: str) -> Path:
    """The path at which the opposite translation of the same variant and version would be published."""
    version = path.resolve().parent
    variant = version.parent.name.replace(direction, directions(direction)[1], 1)
    return version.parent.parent / variant / version.name / path.name


def read(path: Path) -> dict[str, Any]:
    """The part of a checkpoint that concerns one generator, G or F: averaged weights, settings and history.

    `path`: the .onnx file of one direction. Raises CheckpointError with the reason if it is unusable.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # onnx raises many kinds for a file that is none
        raise CheckpointError(f"{path} is not a readable ONNX file ({type(error).__name__})") from error
    meta = {p.key: p.value for p in model.metadata_props}
    if meta.get("task") != "translate":
        raise CheckpointError(f"{path} is no translator that gan-export published: no other .onnx file can start a fit")
    learnt = [t for t in model.graph.initializer if t.name.startswith(PREFIX) and t.name.endswith((".weight", ".bias"))]
    if any(tensor.data_type == TensorProto.FLOAT16 for tensor in learnt):
        raise CheckpointError(f"{path} has its weights rounded to half precision: give the model.onnx beside it")
    try:
        card = json.loads(meta["model_card"])["training"]
        training = {"images": card["images"], "config": card["config"], "history": list(card.get("history", []))}
        provenance = {"git_commit": card["git_commit"]}
        pair, reverse = directions(training["config"]["pair"])
        network = {pair: "G", reverse: "F"}[meta["direction"]]
        weights = {t.name.removeprefix(PREFIX): torch.from_numpy(numpy_helper.to_array(t).copy()) for t in learnt}
        task = "distil" if "teacher_weight" in training["config"] else "cyclegan"
        networks = {"networks": {network: weights}, "averages": {network: weights}}
        return {"task": task, **training, "provenance": provenance, **networks}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(f"{path} or its card has no {error}: publish it again") from error
