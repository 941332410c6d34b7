"""Generators with the conversions from and to uint8 pixels inside the graph."""

import torch
from torch import Tensor, nn


def _to_pixels(images: Tensor) -> Tensor:
    """[-1, 1] -> uint8, rounded to nearest."""
    return (images * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)


class DigitGraph(nn.Module):
    """z float32 (N, latent), of a conditional generator with labels int64 (N,) -> digits uint8 (N, 28, 28)."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """The digits of z."""
        digits = self.generator(z) if label is None else self.generator(z, label)
        return _to_pixels(digits).squeeze(1)


class TranslationGraph(nn.Module):
    """Images uint8 (N, H, W, 3) -> images uint8 (N, H, W, 3)."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, image: Tensor) -> Tensor:
        """The translation of each image."""
        planes = image.permute(0, 3, 1, 2).float() / 127.5 - 1
        return _to_pixels(self.generator(planes)).permute(0, 2, 3, 1)
