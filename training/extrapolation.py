"""Going on in the direction in which a fit went: its weights, moved further from where it began than they came.

Fits against new discriminators gain at first, and lose it to their noise as they go on; the way that they took at first
leads further than they do. Ilharco et al. 2023 scale such differences of weights ("task vectors") to strengthen what a
model has learnt.
"""

import torch

from training import published
from training.config import CycleGanConfig
from training.pair_task import PairTask
from training.resuming import ResumeError


def extrapolate(task: PairTask, config: CycleGanConfig) -> None:
    """Moves the averaged weights w of the generators that learn to o + `config.extrapolate` (w - o), to start from.

    o is what `config.extrapolate_from`, a published translator, has; a translator of one way moves its generator alone.
    Raises CheckpointError for a file that cannot be read, ResumeError for one whose generator is not to learn or is of
    another size.
    """
    if config.extrapolate_from is None:
        return
    state = published.read(config.extrapolate_from)
    ((name, origin),) = state["averages"].items()
    average, network = task.averages[name], task.networks[name]
    if name in task.still:
        raise ResumeError(
            f"{config.extrapolate_from} holds {name}, which stands still here: give the other direction's"
        )
    weights = dict(average.named_parameters())
    if {k: w.shape for k, w in weights.items()} != {k: w.shape for k, w in origin.items()}:
        raise ResumeError(f"{config.extrapolate_from} has a generator of another size than --init: it began elsewhere")
    with torch.no_grad():
        for key, weight in weights.items():
            weight.copy_(torch.lerp(origin[key].to(weight), weight, config.extrapolate))
    network.load_state_dict(average.state_dict())
