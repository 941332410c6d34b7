"""Generators and discriminators of CycleGAN (Zhu et al. 2017, section 7.1 and appendix)."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

Preset = Literal["reference", "compact", "tiny"]
GeneratorNorm = Literal["instance", "none"]


class Size(NamedTuple):
    """The arguments of `Generator`."""

    filters: int
    blocks: int
    norm: GeneratorNorm = "instance"
    folded: bool = False

    def __str__(self) -> str:
        parts = [f"{self.filters} x {self.blocks}"]
        return ", ".join(parts + ["folded"] * self.folded + ["without norms"] * (self.norm == "none"))


#: Generator, and filters of the PatchGAN, of each preset. A card's settings name the preset: never change one.
PRESETS: dict[Preset, tuple[Size, int]] = {
    "reference": (Size(64, 9), 64),
    "compact": (Size(16, 6), 48),
    "tiny": (Size(12, 6, folded=True), 48),
}
FIRST_SCALE = 0.1
"""Of the last layer's weights in a new generator without norms."""


class ResidualBlock(nn.Module):
    """x + f(x) with f two 3x3 convolutions, each instance-normalised or with a bias."""

    def __init__(self, channels: int, norm: GeneratorNorm = "instance") -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *_convolution(channels, channels, 3, norm=norm),
            *_convolution(channels, channels, 3, norm=norm)[:-1],
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        return x + self.residual(x)


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, norm: GeneratorNorm = "instance"
) -> list[nn.Module]:
    """Without norms the layers keep their places, and so the weights their names."""
    return [
        nn.ReflectionPad2d((kernel - 1) // 2),
        nn.Conv2d(inputs, outputs, kernel, stride=stride, bias=norm == "none"),
        nn.InstanceNorm2d(outputs) if norm == "instance" else nn.Identity(),
        nn.ReLU(inplace=True),
    ]


class Generator(nn.Module):
    """G: X -> Y, an image in and an image of the same size out.

    Johnson et al.'s residual generator as the paper uses it, with one change: the map grows by
    nearest-neighbour resizing and a convolution, where a transposed convolution would leave a
    checkerboard (Odena et al. 2016).
    """

    def __init__(self, filters: int, blocks: int, norm: GeneratorNorm = "instance", folded: bool = False) -> None:
        """`filters`: channels at full resolution, four times as many inside. `blocks`: residual blocks.

        `norm`: the paper's instance normalisation, or none. Without it a pixel depends on its surroundings alone and
        not on the statistics of the whole image, so that an image may be translated in tiles.

        `folded`: 2 x 2 pixels become the channels of one (Shi et al. 2016), so that no layer works at full resolution,
        where layers of few channels cost a CPU the most.
        """
        super().__init__()
        first: list[nn.Module] = _convolution(3, filters, 7, norm=norm)
        first += _convolution(filters, 2 * filters, 3, stride=2, norm=norm)
        last: list[nn.Module] = [nn.Upsample(scale_factor=2.0, mode="nearest")]
        last += [*_convolution(2 * filters, filters, 3, norm=norm), nn.ReflectionPad2d(3), nn.Conv2d(filters, 3, 7)]
        if folded:
            first = [nn.PixelUnshuffle(2), *_convolution(4 * 3, 2 * filters, 3, norm=norm)]
            last = [nn.ReflectionPad2d(1), nn.Conv2d(2 * filters, 4 * 3, 3), nn.PixelShuffle(2)]
        self.layers = nn.Sequential(
            *first,
            *_convolution(2 * filters, 4 * filters, 3, stride=2, norm=norm),
            *(ResidualBlock(4 * filters, norm) for _ in range(blocks)),
            nn.Upsample(scale_factor=2.0, mode="nearest"),
            *_convolution(4 * filters, 2 * filters, 3, norm=norm),
            *last,
            nn.Tanh(),
        )
        if norm == "instance":
            self.apply(_initialise)
        else:
            self._initialise_without_norms()

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1], sides multiples of 4 and at least 16 -> the same shape and range."""
        image: Tensor = self.layers(x)
        return image

    @torch.no_grad()
    def _initialise_without_norms(self) -> None:
        """Variances that stay as they are from layer to layer (He et al. 2015), of all residual blocks together.

        The last layer begins small: tanh would saturate, and the way out kills the units before it.
        """
        blocks = [module for module in self.modules() if isinstance(module, ResidualBlock)]
        for convolution in self.modules():
            if isinstance(convolution, nn.Conv2d) and convolution.bias is not None:
                nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
                nn.init.zeros_(convolution.bias)
        for block in blocks:
            cast(nn.Conv2d, block.residual[-2]).weight.div_(len(blocks) ** 0.5)
        last = [module for module in self.modules() if isinstance(module, nn.Conv2d)][-1]
        last.weight.mul_(FIRST_SCALE)


@torch.no_grad()
def fold_norms(generator: Generator, images: Iterable[Tensor]) -> dict[str, Tensor]:
    """The weights of a generator without norms that does about what one with instance normalisation does.

    Each norm is replaced by the means and variances that its input has on average over `images`, batches (n, 3, H, W)
    in [-1, 1], which then go into the weights of the convolution before it and a bias.
    """
    sums: dict[str, Tensor] = {}
    counted = 0

    def note(name: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        variances, means = torch.var_mean(inputs[0], dim=(2, 3), correction=0)
        sums[name] = sums.get(name, 0) + torch.stack([means.sum(0), variances.sum(0)])

    norms = {name: module for name, module in generator.named_modules() if isinstance(module, nn.InstanceNorm2d)}
    hooks = [norm.register_forward_pre_hook(partial(note, name)) for name, norm in norms.items()]
    for batch in images:
        generator(batch)
        counted += len(batch)
    for hook in hooks:
        hook.remove()
    weights = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    for name, norm in norms.items():
        parent, _, place = name.rpartition(".")
        convolution = f"{parent}.{int(place) - 1}"
        mean, variance = sums[name] / counted
        scale = (variance + norm.eps).rsqrt()
        weights[f"{convolution}.weight"] *= scale[:, None, None, None]
        weights[f"{convolution}.bias"] = -mean * scale
    return weights


def receptive_radius(generator: nn.Module) -> int | None:
    """Pixels around a pixel of the output, in each direction, that it depends on; None with norms: on all of them."""
    layers = list(generator.modules())
    if any(isinstance(layer, nn.InstanceNorm2d) for layer in layers):
        return None
    radius = 0
    for place in range(4):  # the network halves the sides twice, so that every fourth pixel is alike
        low = high = place
        for layer in reversed(layers):
            if isinstance(layer, nn.Conv2d):
                reach = layer.kernel_size[0] // 2
                low, high = layer.stride[0] * low - reach, layer.stride[0] * high + reach
            elif isinstance(layer, nn.Upsample | nn.PixelShuffle):
                low, high = low // 2, high // 2
            elif isinstance(layer, nn.PixelUnshuffle):
                low, high = 2 * low, 2 * high + 1
        radius = max(radius, place - low, high - place)
    return radius


def size_of(config: Mapping[str, Any]) -> Size:
    """The generators' size in a pair's settings: the preset's, unless the settings replace it."""
    size, _ = PRESETS[config["preset"]]
    given = {name: config.get(name) or getattr(size, name) for name in ("filters", "blocks")}
    return size._replace(**given, norm=config.get("generator_norm", "instance"))


def generator_of(config: Mapping[str, Any]) -> Generator:
    """The generator of a pair's settings."""
    return Generator(*size_of(config))


class Discriminator(nn.Module):
    """D: one logit for every overlapping 70x70 patch (the PatchGAN of Isola et al. 2017)."""

    def __init__(self, filters: int = 64) -> None:
        """`filters`: channels after the first layer, eight times as many at the end."""
        super().__init__()

        def layer(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
            return [
                nn.Conv2d(inputs, outputs, 4, stride=stride, padding=1, bias=False),
                nn.InstanceNorm2d(outputs),
                nn.LeakyReLU(0.2, inplace=True),
            ]

        self.score = nn.Sequential(
            nn.Conv2d(3, filters, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            *layer(filters, 2 * filters, 2),
            *layer(2 * filters, 4 * filters, 2),
            *layer(4 * filters, 8 * filters, 1),
            nn.Conv2d(8 * filters, 1, 4, padding=1),
        )
        self.apply(_initialise)

    def logits(self, x: Tensor) -> Tensor:
        """x (N, 3, H, W) in [-1, 1], sides at least 32 -> patch logits (N, 1, h, w), from which losses are computed."""
        return self.score(x)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, 3, H, W) in [-1, 1] -> likelihood in (0, 1) that each patch is real, (N, 1, h, w)."""
        return torch.sigmoid(self.logits(x).float())


def patch_discriminator_of(config: Mapping[str, Any]) -> Discriminator:
    """The PatchGAN of a pair's preset."""
    return Discriminator(PRESETS[config["preset"]][1])


def _initialise(module: nn.Module) -> None:
    """Weights from N(0, 0.02), as in the paper's appendix."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
