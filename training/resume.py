"""Starting a run from a checkpoint: its own when it resumes, those of other runs for the first weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training import checkpoint, onnx_weights
from training.checkpoint import CheckpointError, ResumeError
from training.config.base import FitConfig
from training.tasks.base import Task
from training.tasks.history import merged_history, networks_of


def differences(config: FitConfig, state: Mapping[str, Any]) -> str:
    """The settings that may not change within a run and differ from a checkpoint's; '' if there are none.

    Retired settings count unless the checkpoint has the value that means what this version does.
    """
    ours, theirs = config.model_dump(mode="json"), {**config.defaults(), **config.translated(state["config"])}
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
    if state["dataset"]["sha256"] != task.dataset["sha256"]:
        raise ResumeError(
            f"the data set is not the one that {config.out} was fitted on: an image was added, removed or changed. "
            f"Restore it, or start a new run with --init {config.out} and another --out"
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
        if not networks_of(states, number):
            raise ResumeError(
                f"every network of {source} is replaced by a later source of --init: remove it, or name it after them"
            )
    for source, state in zip(sources, states, strict=True):
        try:
            task.take(state)
        except (KeyError, RuntimeError, ValueError) as error:  # names, shapes or meanings that do not fit
            reason = differences(task.config, state) or error
            raise ResumeError(
                f"the networks of {source} are not those of these settings ({reason}): give the settings that shape "
                "the networks as they are there; or export its generators with gan-export publish and give --init "
                "both .onnx files, which leaves the discriminators new"
            ) from error
    if lacking := task.averages.keys() - set().union(*(state["networks"] for state in states)):
        raise CheckpointError(
            f"{', '.join(map(str, sources))} lacks {' and '.join(sorted(lacking))}: a published file translates one "
            "way, so give --init both, with a comma between them"
        )
    task.history = merged_history(states, task.networks)
