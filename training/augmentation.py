"""Differentiable augmentation (Zhao et al. 2020): what the discriminators see of real and generated pictures alike.

A discriminator that sees a thousand photographs again and again learns them by heart; seen through random changes they
are many more. The generators are judged through changes of the same kind, so that none of them is worth imitating.
"""

from collections.abc import Collection, Iterable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from training import randomness

Policy = Literal["colour", "translation", "cutout"]

DRAWS = 7
"""Random numbers that a picture takes, whatever the policies."""


def draw(seed: int, purpose: str, numbers: Iterable[int]) -> Tensor:
    """Random numbers in [0, 1) for the images of these global numbers, (n, 7) on the CPU: where they steer slices."""
    return torch.stack([torch.rand(DRAWS, generator=randomness.generator(seed, purpose, n)) for n in numbers])


def augment(images: Tensor, policies: Collection[Policy], draws: Tensor) -> Tensor:
    """Images (n, 3, h, w) in [-1, 1] and their draws (n, 7) -> changed images in fp32, through which gradients flow.

    colour: brightness moved by up to 0.5, saturation by a factor of 0 to 2, contrast by one of 0.5 to 1.5;
    translation: moved by up to an eighth of each side, the rest grey; cutout: a box of half of each side made grey.
    """
    if not policies:
        return images
    changed = []
    images = images.to(torch.promote_types(images.dtype, torch.float32))
    for image, numbers in zip(images, draws.tolist(), strict=True):
        brightness, saturation, contrast, down, right, top, left = numbers
        if "colour" in policies:
            image = _colour(image, brightness, saturation, contrast)
        if "translation" in policies:
            image = _translate(image, down, right)
        if "cutout" in policies:
            image = _cut_out(image, top, left)
        changed.append(image)
    return torch.stack(changed)


def _colour(image: Tensor, brightness: float, saturation: float, contrast: float) -> Tensor:
    image = image + (brightness - 0.5)
    grey = image.mean(0, keepdim=True)
    image = grey + 2 * saturation * (image - grey)
    mean = image.mean()
    return mean + (contrast + 0.5) * (image - mean)


def _translate(image: Tensor, down: float, right: float) -> Tensor:
    height, width = image.shape[1:]
    rows, columns = _whole(down, 2 * (height // 8)) - height // 8, _whole(right, 2 * (width // 8)) - width // 8
    return functional.pad(image, (columns, -columns, rows, -rows))


def _cut_out(image: Tensor, top: float, left: float) -> Tensor:
    height, width = image.shape[1:]
    row, column = _whole(top, height), _whole(left, width)
    kept = image.new_ones(1, height, width)
    kept[:, max(0, row - height // 4) : row + height // 4, max(0, column - width // 4) : column + width // 4] = 0
    return image * kept


def _whole(share: float, largest: int) -> int:
    """0 to `largest`, each as likely."""
    return int(share * (largest + 1))
