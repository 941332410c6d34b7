"""Reads the generators that a distillation learns from: a run's checkpoint, or both published files of a pair."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training import checkpoint, onnx_weights
from training.checkpoint import CheckpointError
from training.networks.cyclegan import size_of


def read_teacher(sources: Sequence[Path]) -> tuple[dict[str, Any], str]:
    """Returns the state of a checkpoint, and its file's hash.

    `sources`: a checkpoint or run folder, or the .onnx files of both directions. Published files have no
    discriminators, so their state has generators only; the hash is that of both files, with a comma between them.

    Raises CheckpointError for sources that cannot be read or do not belong together.
    """
    if len(sources) == 1 and sources[0].suffix.lower() != ".onnx":
        source = checkpoint.newest(sources[0])
        return checkpoint.read(source), checkpoint.sha256(source)
    states = [onnx_weights.read(source) for source in sources]
    first = states[0]
    averages: dict[str, Any] = {}
    for source, state in zip(sources, states, strict=True):
        if (state["config"]["pair"], size_of(state["config"])) != (first["config"]["pair"], size_of(first["config"])):
            raise CheckpointError(f"{source} is of another pair or size than {sources[0]}: give files of one pair")
        averages |= state["averages"]
    if averages.keys() != {"G", "F"}:
        raise CheckpointError(
            f"--teacher {','.join(map(str, sources))} translates one way only: give the published files of both "
            "directions, with a comma between them, or one checkpoint"
        )
    commits = sorted({state["provenance"]["git_commit"] for state in states})
    state = {
        **first,
        "task": "cyclegan",
        "config": {**first["config"], "only": None},
        "images": max(state["images"] for state in states),
        "networks": {},
        "history": [],
        "averages": averages,
        "provenance": {"git_commit": ",".join(commits)},
    }
    return state, ",".join(checkpoint.sha256(source) for source in sources)
