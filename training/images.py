"""Image tensors: conversions between stored pixels and network inputs, and grids of images."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor


def to_signed(pixels: Tensor) -> Tensor:
    """Levels 0..255 of any type -> float32 in [-1, 1]."""
    return pixels.float() / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """[-1, 1] -> uint8 0..255, rounded to nearest."""
    return (images.float() * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)


def tile(images: Tensor, columns: int, gap: int = 2) -> Tensor:
    """uint8 (N, C, H, W) with C 1 or 3 -> one uint8 image, (h, w) or (h, w, 3), row by row on white."""
    n, channels, height, width = images.shape
    rows = -(-n // columns)
    canvas = torch.full((channels, rows * (height + gap) - gap, columns * (width + gap) - gap), 255, dtype=torch.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        canvas[:, top : top + height, left : left + width] = image
    return canvas[0] if channels == 1 else canvas.permute(1, 2, 0)


def save_png(image: Tensor, path: Path) -> None:
    """Writes a uint8 image (h, w) or (h, w, 3)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.numpy()).save(path)
