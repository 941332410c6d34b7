"""EfficientNet-Lite0 (Tan and Le 2019, without squeeze-and-excitation) as a frozen feature network."""

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

STEM_CHANNELS = 32
BATCH_NORM_EPSILON = 1e-3
EXPANSION = 6


class Stage(NamedTuple):
    """Consecutive blocks of one kind; the first one has the stride."""

    blocks: int
    kernel: int
    stride: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 16),
    Stage(2, 3, 2, 24),
    Stage(2, 5, 2, 40),
    Stage(3, 3, 2, 80),
    Stage(3, 5, 1, 112),
    Stage(4, 5, 2, 192),
    Stage(1, 3, 1, 320),
)
TAPPED_STAGES = (1, 2, 4, 6)
"""The stages whose maps are returned: the last one of each stride 4, 8, 16 and 32."""
TAP_CHANNELS = tuple(STAGES[number].channels for number in TAPPED_STAGES)


class Convolution(nn.Module):
    """A convolution with TensorFlow's padding: a strided one has the odd pixel on the right and at the bottom."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        first = (kernel - stride) // 2
        last = kernel - stride - first
        self.padding = None if first == last else (first, last, first, last)
        self.convolution = nn.Conv2d(
            inputs, outputs, kernel, stride, padding=first if first == last else 0, groups=groups
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) with sides that the stride divides -> (N, outputs, H / stride, W / stride)."""
        if self.padding:
            x = functional.pad(x, self.padding)
        maps: Tensor = self.convolution(x)
        return maps

    def load(self, weights: Mapping[str, Tensor], convolution: str, norm: str) -> None:
        """Loads a convolution without bias, with the batch normalisation that follows it folded in.

        `convolution` and `norm`: the prefixes of their names in `weights`.
        """
        scale = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + BATCH_NORM_EPSILON).sqrt()
        bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
        folded = {"weight": weights[f"{convolution}.weight"] * scale[:, None, None, None], "bias": bias}
        self.convolution.load_state_dict(folded)


class Block(nn.Module):
    """An inverted residual block: a depthwise convolution between an expansion and a projection of the channels.

    Its input is added to its output if the shapes agree.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inside = inputs * expansion
        self.expand = Convolution(inputs, inside, 1) if expansion > 1 else None
        self.depthwise = Convolution(inside, inside, kernel, stride, groups=inside)
        self.project = Convolution(inside, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        inside = functional.relu6(self.expand(x)) if self.expand else x
        narrow: Tensor = self.project(functional.relu6(self.depthwise(inside)))
        return x + narrow if self.residual else narrow

    def load(self, weights: Mapping[str, Tensor], prefix: str) -> None:
        """Loads the weights that the published file has under `prefix`."""
        if self.expand:
            self.expand.load(weights, f"{prefix}._expand_conv", f"{prefix}._bn0")
        self.depthwise.load(weights, f"{prefix}._depthwise_conv", f"{prefix}._bn1")
        self.project.load(weights, f"{prefix}._project_conv", f"{prefix}._bn2")


class EfficientNetLite0(nn.Module):
    """The network up to its last block, in evaluation mode and frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(3, STEM_CHANNELS, 3, stride=2)
        channels = [STEM_CHANNELS, *(stage.channels for stage in STAGES)]
        self.stages = nn.ModuleList()
        for number, (stage, (inputs, outputs)) in enumerate(zip(STAGES, pairwise(channels), strict=True)):
            expansion = EXPANSION if number else 1
            first = Block(inputs, outputs, stage.kernel, stage.stride, expansion)
            others = (Block(outputs, outputs, stage.kernel, 1, expansion) for _ in range(stage.blocks - 1))
            self.stages.append(nn.Sequential(first, *others))
        self.eval().requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) in [-1, 1], sides multiples of 32 -> maps of 24, 40, 112, 320 channels at strides 4 to 32."""
        maps = []
        x = functional.relu6(self.stem(x))
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in TAPPED_STAGES:
                maps.append(x)
        return maps

    @torch.no_grad()
    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Loads the published weights. Raises KeyError or RuntimeError for another network's names or shapes."""
        self.stem.load(weights, "_conv_stem", "_bn0")
        blocks = [module for module in self.stages.modules() if isinstance(module, Block)]
        for number, block in enumerate(blocks):
            block.load(weights, f"_blocks.{number}")
