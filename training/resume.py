"""Starting a run from a checkpoint: its own when it resumes, those of other runs for the first weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training import checkpoint, onnx_weights
from training.checkpoint import CheckpointError
from training.config.base import FitConfig
from training.tasks.base import Task
from training.tasks.pair import DIRECTIONS

LEARNT_WITH = {d.generator: [d.generator, f"D_{d.target}"] for d in DIRECTIONS}
"""The networks that a fit of one generator alone changes."""


class ResumeError(Exception):
    """A checkpoint of another task or of incompatible settings."""


def differences(config: FitConfig, state: Mapping[str, Any]) -> str:
    """Compares the settings that may not change within a run with a checkpoint's; '' if they agree.

    Retired settings count unless the checkpoint has the value that means what this version does.
    """
    ours, theirs = config.model_dump(mode="json"), {**config.defaults(), **state["config"]}
    found = [
        f"{name}: {theirs[name]} there, {value} asked for"
        for name, value in ours.items()
        if name not in config.FREE_ON_RESUME and value != theirs[name]
    ]
    retired = ((name, theirs[name]) for name, same in config.RETIRED.items() if theirs.get(name, same) != same)
    return ", ".join([*found, *(f"{name}: {value} there, which this version does not have" for name, value in retired)])


def check_task(task: Task, state: Mapping[str, Any], source: Path) -> None:
    """Raises ResumeError for a checkpoint of another task, or with generators that this version cannot build.

    `source`: its path.
    """
    if state.get("task") != task.name:
        theirs = f"of task {state['task']}" if "task" in state else "of no fit"
        raise ResumeError(f"{source} is {theirs}, not {task.name}: choose another --out or --init")
    if unknown := task.config.unknown(state["config"]):
        raise ResumeError(f"{source} was fitted with {unknown}, which this version does not know: fit anew")


def restore_newest(task: Task) -> tuple[int, float]:
    """Restores the newest checkpoint of the run folder, or takes the first weights from the sources of `init`.

    Returns the images that the run has seen and the seconds it has taken. Raises CheckpointError or ResumeError.
    """
    config = task.config
    if not checkpoint.list_checkpoints(config.out):
        if config.init:
            warm_start(task, config.init)
        return 0, 0.0
    state = checkpoint.read(config.out)
    check_task(task, state, config.out)
    if changes := differences(config, state):
        raise ResumeError(
            f"{config.out} holds a run with other settings ({changes}): choose another --out, or the same settings"
        )
    task.restore(state)
    return int(state["images"]), float(state.get("seconds", 0.0))


def warm_start(task: Task, sources: Sequence[Path]) -> None:
    """Gives a new run the networks of `sources`: checkpoints, run folders or published translators.

    A later source replaces the networks that an earlier one also holds; discriminators that no source holds keep
    their initial weights. Raises CheckpointError for a source that cannot be read, ResumeError for one that does not
    fit or that later ones replace completely.
    """
    states = [onnx_weights.read(s) if s.suffix.lower() == ".onnx" else checkpoint.read(s) for s in sources]
    for source, state in zip(sources, states, strict=True):
        check_task(task, state, source)
    for number, source in enumerate(sources):
        if not _taken(states, number):
            raise ResumeError(
                f"of {source} nothing is left, since later sources of --init replace all its networks: leave it "
                "out, or give the .onnx files that are to replace others after them"
            )
    for source, state in zip(sources, states, strict=True):
        try:
            task.take(state)
        except (KeyError, RuntimeError, ValueError) as error:  # names, shapes or meanings that do not fit
            reason = differences(task.config, state) or error
            raise ResumeError(
                f"the networks of {source} are not those of these settings ({reason}): "
                "leave it out of --init, or give the settings that shape the networks as they are there"
            ) from error
    if lacking := task.averages.keys() - set().union(*(state["networks"] for state in states)):
        raise CheckpointError(
            f"{', '.join(map(str, sources))} lacks {' and '.join(sorted(lacking))}: a published file translates one "
            "way, so give --init both, with a comma between them"
        )
    task.history = merged_history(states, task.networks)


def merged_history(states: Sequence[Mapping[str, Any]], networks: Mapping[str, object]) -> list[dict[str, Any]]:
    """The runs that the weights of a run started from `states` went through, the oldest of each network first.

    A run that not all of `networks` went through lists under "networks" those that did.
    """
    runs: list[dict[str, Any]] = []
    for number, state in enumerate(states):
        taken = _taken(states, number)
        earlier = runs[:]  # each matches once: equal runs of one source are consecutive fits with the same settings
        new: list[dict[str, Any]] = []  # without a match so far, to be inserted before the next match
        for run in _runs(state):
            through = taken & set(run.get("networks", taken))
            match = next((other for other in earlier if same_run(other, run)), None)
            if match:
                match["networks"] |= through
                earlier = [other for other in earlier if other is not match]
                place = next(i for i, other in enumerate(runs) if other is match)
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
    """The networks of a checkpoint that learnt in its run or in an earlier one; the others keep their first weights."""
    return set().union(*(run.get("networks", state["networks"]) for run in _runs(state)))


def _runs(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A checkpoint's earlier runs, then its own."""
    own = {"images": state["images"], "config": state["config"]}
    if only := state["config"].get("only"):
        own["networks"] = LEARNT_WITH[only]
    return [*state["history"], own]


def _taken(states: Sequence[Mapping[str, Any]], number: int) -> set[str]:
    """The networks of source `number` that no later source replaces."""
    return set(states[number]["networks"]).difference(*(later["networks"] for later in states[number + 1 :]))


def same_run(run: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both are one run; settings that only one of them lists are ignored, since cards leave paths out."""
    common = run["config"].keys() & other["config"].keys()
    return run["images"] == other["images"] and all(run["config"][k] == other["config"][k] for k in common)
