from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.efficientnet_lite import TAP_CHANNELS, EfficientNetLite0

STAGES = (  # blocks, kernel, stride, expansion, inputs, outputs (Tan and Le 2019, table 1; the stem has 32 channels)
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
Block = tuple[str, int, int, int, int, int]


def blocks() -> Iterator[Block]:
    """Prefix in the published file, kernel, stride, inputs, inner channels and outputs of every block."""
    number = 0
    for count, kernel, stride, expansion, inputs, outputs in STAGES:
        for place in range(count):
            entering = outputs if place else inputs
            yield f"_blocks.{number}", kernel, 1 if place else stride, entering, expansion * entering, outputs
            number += 1


def published_weights() -> dict[str, Tensor]:
    """Random ones, under the names of the published file, with batch norms that are far from the identity."""
    weights: dict[str, Tensor] = {}

    def add(convolution: str, norm: str, outputs: int, inputs: int, kernel: int) -> None:
        fan_in = inputs * kernel**2
        weights[f"{convolution}.weight"] = torch.randn(outputs, inputs, kernel, kernel) * (2 / fan_in) ** 0.5
        weights[f"{norm}.weight"] = 0.5 + torch.rand(outputs)
        weights[f"{norm}.bias"] = torch.randn(outputs) / 2
        weights[f"{norm}.running_mean"] = torch.randn(outputs) / 2
        weights[f"{norm}.running_var"] = 0.5 + torch.rand(outputs)
        weights[f"{norm}.num_batches_tracked"] = torch.tensor(1)

    add("_conv_stem", "_bn0", 32, 3, 3)
    for prefix, kernel, _, inputs, inner, outputs in blocks():
        if inner > inputs:
            add(f"{prefix}._expand_conv", f"{prefix}._bn0", inner, inputs, 1)
        add(f"{prefix}._depthwise_conv", f"{prefix}._bn1", inner, 1, kernel)
        add(f"{prefix}._project_conv", f"{prefix}._bn2", outputs, inner, 1)
    weights["_fc.weight"] = torch.zeros(1000, 1280)  # the published file goes on to the classes
    return weights


def by_hand(x: Tensor, weights: dict[str, Tensor]) -> list[Tensor]:
    """The maps of all stages, by convolutions with TensorFlow's padding and batch norms that are not folded."""

    def layer(x: Tensor, convolution: str, norm: str, stride: int = 1, groups: int = 1) -> Tensor:
        kernel = weights[f"{convolution}.weight"]
        side = kernel.shape[-1]
        pads = [max((-(-n // stride) - 1) * stride + side - n, 0) for n in (x.shape[3], x.shape[2])]
        x = functional.pad(x, [part for pad in pads for part in (pad // 2, pad - pad // 2)])
        x = functional.conv2d(x, kernel, stride=stride, groups=groups)
        mean, variance = weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"]
        return functional.batch_norm(x, mean, variance, weights[f"{norm}.weight"], weights[f"{norm}.bias"], eps=1e-3)

    x = layer(x, "_conv_stem", "_bn0", stride=2).clamp(0, 6)
    maps = []
    for prefix, _, stride, inputs, inner, outputs in blocks():
        inside = layer(x, f"{prefix}._expand_conv", f"{prefix}._bn0").clamp(0, 6) if inner > inputs else x
        inside = layer(inside, f"{prefix}._depthwise_conv", f"{prefix}._bn1", stride, groups=inner).clamp(0, 6)
        narrow = layer(inside, f"{prefix}._project_conv", f"{prefix}._bn2")
        x = x + narrow if stride == 1 and inputs == outputs else narrow
        maps.append(x)
    ends = torch.tensor([count for count, *_ in STAGES]).cumsum(0) - 1
    return [maps[end] for end in ends]


def test_the_maps_are_those_of_convolutions_with_batch_norms() -> None:
    weights, network = published_weights(), EfficientNetLite0()
    network.load(weights)
    x = torch.rand(2, 3, 64, 96) * 2 - 1
    stages = by_hand(x, weights)
    for ours, theirs in zip(network(x), (stages[1], stages[2], stages[4], stages[6]), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3 * theirs.std().item())


def test_maps_have_the_stated_channels_and_strides() -> None:
    assert TAP_CHANNELS == (24, 40, 112, 320)
    maps = EfficientNetLite0()(torch.zeros(1, 3, 64, 96))
    assert [m.shape for m in maps] == [
        (1, channels, 64 // stride, 96 // stride) for channels, stride in zip(TAP_CHANNELS, (4, 8, 16, 32), strict=True)
    ]


def test_it_is_frozen_and_passes_gradients_to_the_image() -> None:
    network = EfficientNetLite0()
    assert not any(module.training for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    x = torch.zeros(1, 3, 32, 32, requires_grad=True)
    network(x)[0].sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 0


def test_the_weights_of_another_network_are_refused() -> None:
    weights = published_weights()
    wide = {**weights, "_conv_stem.weight": torch.zeros(40, 3, 3, 3)}
    with pytest.raises(RuntimeError):
        EfficientNetLite0().load(wide)
    with pytest.raises(KeyError):
        EfficientNetLite0().load({name: w for name, w in weights.items() if "_blocks.15" not in name})


def test_it_has_sixteen_blocks() -> None:
    assert sum(isinstance(m, nn.Conv2d) for m in EfficientNetLite0().modules()) == 1 + 3 * 16 - 1
