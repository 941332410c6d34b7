"""The two conversions between stored pixels and what networks see."""

import torch
from torch import Tensor


def to_signed(pixels: Tensor) -> Tensor:
    """Levels 0..255 of any type -> float32 in [-1, 1]."""
    return pixels.float() / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """[-1, 1] -> uint8 0..255, rounded to nearest."""
    return (images.float() * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
