"""The same generator without norms, with its ends folded.

Layers of few channels at full resolution cost a CPU the most. 2 x 2 pixels become the channels of one (Shi et al.
2016), and each kernel of the ends becomes the one that computes the same from them. The outputs stay the same but for
rounding.
"""

from collections.abc import Sequence

import torch.nn.functional as functional
from torch import Tensor, nn

from training.networks.cyclegan import Generator

BOTH, FIRST = (0, 1), (0,)
"""The places within a pair of pixels at which a layer has outputs."""


class FoldedEnds(nn.Module):
    """Images (N, 3, H, W) in [-1, 1] -> the same shape and range, as `generator` computes them."""

    def __init__(self, generator: Generator) -> None:
        """`generator`: one without norms and without `folded`. Takes its inner layers, and no copies of them."""
        super().__init__()
        layers = list(generator.layers)
        convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
        first, down, up, last = *convolutions[:2], *convolutions[-2:]
        inner = layers[layers.index(down) + 1 : layers.index(up) - 2]  # without the upsampling and padding before `up`
        self.first = _convolution(_folded(first.weight, BOTH), first, len(BOTH) ** 2)
        self.down = _convolution(_folded(down.weight, FIRST), down, len(FIRST) ** 2)
        self.inner = nn.Sequential(*inner)
        self.up = _convolution(_folded_upsampling(up.weight), up, len(BOTH) ** 2)
        self.last = _convolution(_folded(last.weight, BOTH), last, len(BOTH) ** 2)

    def forward(self, x: Tensor) -> Tensor:
        """Sides are multiples of 4 and at least 16."""
        # where a reflection shows the second pixel of a pair beside the border, the pair itself repeated has it too
        x = functional.relu(self.first(_reflected(x)))
        x = self.inner(self.down(functional.pad(x, (1, 0, 1, 0), mode="replicate")))
        x = functional.relu(self.up(functional.pad(x, (1, 1, 1, 1), mode="replicate")))
        x = self.last(_reflected(functional.pixel_shuffle(x, 2)))
        return functional.pixel_shuffle(x, 2).tanh()


def _reflected(x: Tensor) -> Tensor:
    """(N, C, H, W) -> folded, with the border that a kernel of 5 needs: (N, 4C, H/2 + 4, W/2 + 4)."""
    return functional.pixel_unshuffle(functional.pad(x, (4, 4, 4, 4), mode="reflect"), 2)


def _convolution(weight: Tensor, source: nn.Conv2d, places: int) -> nn.Conv2d:
    convolution = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2])
    convolution.weight = nn.Parameter(weight)
    assert source.bias is not None
    convolution.bias = nn.Parameter(source.bias.repeat_interleave(places))
    return convolution


def _folded(weight: Tensor, places: Sequence[int]) -> Tensor:
    """The kernel (out, in, k, k) for folded inputs: (out * places^2, in * 4, n, n) with n pairs of pixels."""
    outputs, inputs, size, _ = weight.shape
    offsets = [place + step - size // 2 for place in places for step in range(size)]
    low = min(offsets) // 2
    pairs = max(offsets) // 2 - low + 1
    folded = weight.new_zeros(outputs, len(places), len(places), inputs, 2, 2, pairs, pairs)
    for a, row in enumerate(places):
        for b, column in enumerate(places):
            for i in range(size):
                for j in range(size):
                    y, x = row + i - size // 2, column + j - size // 2
                    folded[:, a, b, :, y % 2, x % 2, y // 2 - low, x // 2 - low] = weight[:, :, i, j]
    return folded.reshape(outputs * len(places) ** 2, inputs * 4, pairs, pairs)


def _folded_upsampling(weight: Tensor) -> Tensor:
    """The kernel of nearest-neighbour upsampling and a 3x3 convolution: (out, in, 3, 3) -> (out * 4, in, 3, 3)."""
    outputs, inputs, size, _ = weight.shape
    folded = weight.new_zeros(outputs, 2, 2, inputs, size, size)
    for row in BOTH:
        for column in BOTH:
            for i in range(size):
                for j in range(size):
                    folded[:, row, column, :, (row + i - 1) // 2 + 1, (column + j - 1) // 2 + 1] += weight[:, :, i, j]
    return folded.reshape(outputs * 4, inputs, size, size)
