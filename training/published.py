"""Published translators as a start of new fits: their weights come back out of the .onnx files."""

import json
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

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
    """What a checkpoint of the pair would hold of networks, averages, settings and history; no discriminators.

    `path`: the .onnx file of either direction; the other one lies beside it as published. G and F are the averaged
    weights. Raises CheckpointError with what is missing.
    """
    way, weights, training = _translator(path)
    pair = training["config"]["pair"]
    opposite = other_way(path, way)
    if not opposite.is_file():
        raise CheckpointError(
            f"{path} translates one way, and {opposite} is not there: publish both, or give --init one"
        )
    _, back, _ = _translator(opposite)
    networks = {"G": weights, "F": back} if way == pair else {"G": back, "F": weights}
    return {
        "task": "cyclegan",
        "images": training["images"],
        "config": training["config"],
        "history": training["history"],
        "networks": networks,
        "averages": networks,
    }


def _translator(path: Path) -> tuple[str, dict[str, Tensor], dict[str, Any]]:
    """Direction, weights and what the card says of the fit."""
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # onnx raises many kinds for a file that is none
        raise CheckpointError(f"{path} is not a readable ONNX file ({type(error).__name__})") from error
    meta = {p.key: p.value for p in model.metadata_props}
    if meta.get("task") != "translate" or "model_card" not in meta:
        raise CheckpointError(f"{path} is no translator that gan-export published: give one, or a checkpoint")
    weights = {
        tensor.name.removeprefix(PREFIX): torch.from_numpy(numpy_helper.to_array(tensor).copy()).float()
        for tensor in model.graph.initializer
        if tensor.name.startswith(PREFIX)
    }
    return meta["direction"], weights, json.loads(meta["model_card"])["training"]
