"""Differentiable augmentation (Zhao et al. 2020): the discriminators see all images through small random changes.

A discriminator that sees a thousand photographs again and again memorises them, unless random changes multiply them.
Generated images are changed in the same way, so that the generators do not learn to imitate the changes. Colours change
little, because they tell one domain from the other.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from training import rng

DRAWS = 6
"""Random numbers per image."""
BRIGHTNESS = 0.15
"""Largest shift, in a range of 2."""
CONTRAST = 0.25
"""Largest change of the factor 1."""


def draw(seed: int, purpose: str, numbers: Iterable[int]) -> Tensor:
    """Random numbers in [0, 1) for the images with these global numbers, (n, 6), on the CPU."""
    return torch.stack([torch.rand(DRAWS, generator=rng.generator(seed, purpose, n)) for n in numbers])


def augment(images: Tensor, draws: Tensor) -> Tensor:
    """Images (n, 3, h, w) in [-1, 1] and their draws (n, 6) -> changed images in float32, with gradients.

    Brightness changes by up to 0.15 and contrast by a factor of 0.75 to 1.25. The image moves by up to an eighth of
    each side, with grey beyond its edge. A box of a third of each side becomes grey.
    """
    images = images.to(torch.promote_types(images.dtype, torch.float32))
    return torch.stack([_change(image, *numbers) for image, numbers in zip(images, draws.tolist(), strict=True)])


def _change(
    image: Tensor, brightness: float, contrast: float, down: float, right: float, top: float, left: float
) -> Tensor:
    mean = image.mean()
    factor = 1 + CONTRAST * (2 * contrast - 1)
    image = mean + BRIGHTNESS * (2 * brightness - 1) + factor * (image - mean)
    return _cut_out(_translate(image, down, right), top, left)


def _translate(image: Tensor, down: float, right: float) -> Tensor:
    height, width = image.shape[1:]
    rows, columns = _whole(down, 2 * (height // 8)) - height // 8, _whole(right, 2 * (width // 8)) - width // 8
    return functional.pad(image, (columns, -columns, rows, -rows))


def _cut_out(image: Tensor, top: float, left: float) -> Tensor:
    height, width = image.shape[1:]
    row, column = _whole(top, height), _whole(left, width)
    kept = image.new_ones(1, height, width)
    kept[:, max(0, row - height // 6) : row + height // 6, max(0, column - width // 6) : column + width // 6] = 0
    return image * kept


def _whole(share: float, largest: int) -> int:
    """A whole number from 0 to `largest`, all equally likely."""
    return int(share * (largest + 1))
