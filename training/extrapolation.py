"""Going on in the direction in which a fit went: its weights, moved further from where it began than they came.

Fits against new discriminators gain at first, and lose it to their noise as they go on; the way that they took at first
leads further than they do. Ilharco et al. 2023 scale such differences of weights ("task vectors") to strengthen what a
model has learnt.
"""

import torch

from training import onnx_weights
from training.config.base import CycleGanConfig
from training.resume import ResumeError, same_run
from training.tasks.pair import PairTask


def extrapolate(task: PairTask, config: CycleGanConfig) -> None:
    """Moves the averaged weights w of the generator that learns to o + `config.extrapolate` (w - o), to start from.

    o is what `config.extrapolate_from` holds, a published translator that `task.history` came through. Raises
    CheckpointError for a file that cannot be read, ResumeError for one that is no start of the learner.
    """
    origin = config.extrapolate_from
    if config.extrapolate is None or origin is None:
        return
    if origin.suffix.lower() != ".onnx":
        raise ResumeError(f"{origin} is no published file: give --extrapolate-from the .onnx that the fit began with")
    state = onnx_weights.read(origin)
    ((name, start),) = state["averages"].items()
    if name in task.still:
        raise ResumeError(f"{origin} holds {name}, which stands still here: give the other direction's")
    came_through = [run for run in task.history if name in run.get("networks", [name])]
    if not any(same_run(run, state) for run in came_through[:-1]):
        raise ResumeError(f"--init has not come any way from {origin}: give the published file that its fit began with")
    average = task.averages[name]
    with torch.no_grad():
        for key, weight in average.named_parameters():
            weight.copy_(torch.lerp(start[key].to(weight), weight, config.extrapolate))
    task.networks[name].load_state_dict(average.state_dict())
