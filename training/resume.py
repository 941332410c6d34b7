"""Weights of other runs as the start of a new one, and the record of the runs they came through."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training import checkpoint, onnx_weights
from training.checkpoint import CheckpointError
from training.config.base import FitConfig
from training.tasks.base import Task
from training.tasks.pair import WAYS

LEARNT_WITH = {way.generator: [way.generator, f"D_{way.target}"] for way in WAYS}
"""The networks that a fit of one generator alone changes."""


def warm_start(task: Task, sources: Sequence[Path]) -> None:
    """Gives a new run the networks of `sources`, checkpoints, run folders or published translators, and has it begin.

    What a later source holds takes the place of what an earlier one does; discriminators that none holds stay as they
    were drawn. Raises CheckpointError for a source that cannot be read, ResumeError for one that does not fit or of
    which nothing would be left.
    """
    states = [onnx_weights.read(s) if s.suffix.lower() == ".onnx" else checkpoint.read(s) for s in sources]
    for source, state in zip(sources, states, strict=True):
        check_task(task, state, source)
    for number, source in enumerate(sources):
        if not _taken(states, number):
            raise ResumeError(
                f"of {source} nothing is left, since what --init names after it takes the place of it all: leave it "
                "out, or give the .onnx files of what it is to bring after the others"
            )
    for source, state in zip(sources, states, strict=True):
        try:
            task.take(state)
        except (KeyError, RuntimeError, ValueError) as error:  # names, shapes or meanings that do not fit
            reason = differences(task.config, state) or error
            raise ResumeError(
                f"the networks of {source} are not those of these settings ({reason}): "
                "leave it out of --init, or give the settings that shape them as they are there"
            ) from error
    if lacking := task.averages.keys() - set().union(*(state["networks"] for state in states)):
        raise CheckpointError(
            f"{', '.join(map(str, sources))} lacks {' and '.join(sorted(lacking))}: a published file translates one "
            "way, so give --init both, with a comma between them"
        )
    task.history = merged_history(states, task.networks)
    task.begin()


def merged_history(states: Sequence[Mapping[str, Any]], networks: Mapping[str, object]) -> list[dict[str, Any]]:
    """The runs whose weights a run has that starts from `states`, the oldest of each network first.

    A run that some of `networks` did not come through says under "networks" which did.
    """
    runs: list[dict[str, Any]] = []
    for number, state in enumerate(states):
        taken = _taken(states, number)
        earlier = runs[:]  # each is met once: two alike of one source are two, the same settings, gone on with
        new: list[dict[str, Any]] = []  # not met, in front of the next one that is
        for run in _runs(state):
            through = taken & set(run.get("networks", taken))
            met = next((other for other in earlier if same_run(other, run)), None)
            if met:
                met["networks"] |= through
                earlier = [other for other in earlier if other is not met]
                place = next(i for i, other in enumerate(runs) if other is met)
                runs[place:place], new = new, []
            elif through:
                new.append({"images": run["images"], "config": run["config"], "networks": through})
        runs += new
    for run in runs:
        through = run.pop("networks")
        if through != set(networks):
            run["networks"] = sorted(through)
    return runs


def learnt(state: Mapping[str, Any]) -> set[str]:
    """The networks of a checkpoint that learnt in its run or in one that it came through; others are as drawn."""
    return set().union(*(run.get("networks", state["networks"]) for run in _runs(state)))


def _runs(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those that a checkpoint came through, and its own."""
    own = {"images": state["images"], "config": state["config"]}
    if only := state["config"].get("only"):
        own["networks"] = LEARNT_WITH[only]
    return [*state["history"], own]


def _taken(states: Sequence[Mapping[str, Any]], number: int) -> set[str]:
    """The networks that are taken of that source: those that no later one holds."""
    return set(states[number]["networks"]).difference(*(later["networks"] for later in states[number + 1 :]))


def same_run(run: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both are one run; cards leave out the settings that are paths."""
    common = run["config"].keys() & other["config"].keys()
    return run["images"] == other["images"] and all(run["config"][k] == other["config"][k] for k in common)


class ResumeError(Exception):
    """A checkpoint that belongs to another task or to other settings."""


def differences(config: FitConfig, state: Mapping[str, Any]) -> str:
    """The settings that may not change within a run and are others in that checkpoint; '' for none."""
    ours, theirs = config.model_dump(mode="json"), {**config.defaults(), **state["config"]}
    different = [k for k in ours if k not in config.FREE_ON_RESUME and ours[k] != theirs[k]]
    return ", ".join(f"{k}: {theirs[k]} there, {ours[k]} asked for" for k in different)


def check_task(task: Task, state: Mapping[str, Any], source: Path) -> None:
    """Raises ResumeError for a checkpoint of another task, or of one with settings that are not known any more.

    `source`: where it was found.
    """
    if state.get("task") != task.name:
        theirs = f"of task {state['task']}" if "task" in state else "of no fit"
        raise ResumeError(f"{source} is {theirs}, not {task.name}: choose another --out or --init")
    if unknown := task.config.unknown(state["config"]):
        raise ResumeError(f"{source} was fitted with {unknown}, which this version does not know: fit anew")
