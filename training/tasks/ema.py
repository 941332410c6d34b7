"""The exponential moving average of a generator's weights, which is exported and scored."""

import copy

import torch
from torch import nn


def averaged_copy(network: nn.Module) -> nn.Module:
    """A frozen copy in evaluation mode, for `update` to move."""
    return copy.deepcopy(network).eval().requires_grad_(False)


@torch.no_grad()
def update(average: nn.Module, network: nn.Module, images: int, batch: int, half_life_images: float) -> None:
    """Moves `average` towards `network` after a step of `batch` images that brought the run to `images`.

    The half-life is at most a twentieth of the images seen (Karras et al. 2022), so that the initial weights are
    forgotten early. Buffers are copied.
    """
    half_life = min(half_life_images, images / 20)
    keep = 0.5 ** (batch / max(half_life, 1e-8))
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - keep)
    for ours, theirs in zip(average.buffers(), network.buffers(), strict=True):
        ours.copy_(theirs)
