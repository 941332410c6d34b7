"""The exponential moving average of a generator's weights: what is exported and judged."""

import copy

import torch
from torch import nn


def averaged_copy(network: nn.Module) -> nn.Module:
    """A frozen copy in evaluation mode, to be moved by `update`."""
    return copy.deepcopy(network).eval().requires_grad_(False)


@torch.no_grad()
def update(average: nn.Module, network: nn.Module, images: int, batch: int, half_life_images: float) -> None:
    """Moves `average` towards `network` after a step of `batch` images that brought the run to `images`.

    The half-life is counted in images, and kept to a twentieth of the run while that is young
    (Karras et al. 2022), so that the first average is not the initial weights. Buffers are copied.
    """
    half_life = min(half_life_images, images / 20)
    keep = 0.5 ** (batch / max(half_life, 1e-8))
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - keep)
    for ours, theirs in zip(average.buffers(), network.buffers(), strict=True):
        ours.copy_(theirs)
