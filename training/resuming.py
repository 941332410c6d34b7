"""Whether a checkpoint may be gone on from with the settings at hand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.config.base import FitConfig
from training.tasks.base import Task


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
