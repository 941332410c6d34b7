"""Discriminators that see images through frozen features (Projected GANs: Sauer et al. 2021)."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from training.networks.efficientnet_lite import TAP_CHANNELS, EfficientNetLite0

MIXED_CHANNELS = 64
HEAD_CHANNELS = 128
HEAD_STRIDES = (2, 2, 1, 1)
"""First strides of the heads, from the finest map to the coarsest: logits are 8, 16, 16 and 32 pixels apart."""


class RandomMixing(nn.Module):
    """Fixed random projections of the feature maps, mixed across channels and, from coarse to fine, across scales.

    Every mixed channel depends on all features, so that a discriminator cannot rely on a few of them (Sauer et al.
    2021, section 3.2). The mixing is not fitted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.across_channels = nn.ModuleList(nn.Conv2d(n, MIXED_CHANNELS, 1, bias=False) for n in TAP_CHANNELS)
        self.across_scales = nn.ModuleList(
            nn.Conv2d(MIXED_CHANNELS, MIXED_CHANNELS, 3, padding=1, bias=False) for _ in TAP_CHANNELS[:-1]
        )
        for convolution in self.modules():
            if isinstance(convolution, nn.Conv2d):
                nn.init.kaiming_normal_(convolution.weight, nonlinearity="linear")
        self.requires_grad_(False)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Maps (N, C, h, w) with C from `TAP_CHANNELS`, the finest first -> maps (N, 64, h, w) of the same sizes."""
        mixed: list[Tensor] = [mix(x) for mix, x in zip(self.across_channels, features, strict=True)]
        for level in reversed(range(len(mixed) - 1)):
            grown = functional.interpolate(mixed[level + 1], size=mixed[level].shape[-2:], mode="bilinear")
            mixed[level] = self.across_scales[level](mixed[level] + grown)
        return mixed


def _head(stride: int) -> nn.Sequential:
    """64 channels -> one logit per place; every layer has spectral norm 1 (Miyato et al. 2018)."""
    return nn.Sequential(
        spectral_norm(nn.Conv2d(MIXED_CHANNELS, HEAD_CHANNELS, 3, stride, padding=1)),
        nn.LeakyReLU(0.2, inplace=True),
        spectral_norm(nn.Conv2d(HEAD_CHANNELS, MIXED_CHANNELS, 3, padding=1)),
        nn.LeakyReLU(0.2, inplace=True),
        spectral_norm(nn.Conv2d(MIXED_CHANNELS, 1, 1)),
    )


class ProjectedDiscriminator(nn.Module):
    """D: logits of many places at four scales. The heads are fitted; the features and their mixing are fixed."""

    def __init__(self, features: EfficientNetLite0) -> None:
        """`features`: the loaded network. Discriminators can share it, and state_dict leaves it out."""
        super().__init__()
        self.mixing = RandomMixing()
        self.heads = nn.ModuleList(map(_head, HEAD_STRIDES))
        self._shared = (features,)  # in a tuple, where nn.Module does not register it

    def logits(self, x: Tensor) -> list[Tensor]:
        """x (N, 3, H, W) in [-1, 1], sides multiples of 32 -> logits (N, 1, h, w) of each scale, the finest first.

        On a CPU the features are computed in float32 even under autocast, because depthwise convolutions in bfloat16
        are slower there.
        """
        (network,) = self._shared
        if x.device.type == "cpu":
            with torch.autocast("cpu", enabled=False):
                features = network(x.float())
        else:
            features = network(x)
        return [head(mixed) for head, mixed in zip(self.heads, self.mixing(features), strict=True)]
