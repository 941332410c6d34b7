"""Domain randomisation (Tobin et al. 2017) of a generator's pictures, from which the other one learns the way back.

Of what G makes of a horse the answer is known: the horse. But F, shown nothing else, learns G's own hand, stripes of
one width and a grain that no camera has, and does badly on zebras. Seen at many sizes, through many colours and noise,
G's pictures are so unlike each other that a photograph is but one more.
"""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from training import randomness

LARGEST_ZOOM = 2.5
"""What is seen enlarged is at least 1/2.5 of a side."""
NOISE = 0.1
"""Largest standard deviation of the noise, in a range of 2."""


def randomise(made: Tensor, answers: Tensor, seed: int, numbers: Iterable[int]) -> tuple[Tensor, Tensor]:
    """Pictures and what is to come of them, both (n, 3, h, w) in [-1, 1], and their global numbers -> both, changed.

    A picture and its answer are enlarged alike, by a factor of 1 to 2.5, its logarithm uniform, about a random place.
    The picture alone then has its saturation changed by a factor of 1/2 to 2, its contrast by one of 0.7 to 1.4 and its
    brightness by up to 0.2, and gets Gaussian noise of a standard deviation of up to 0.1. In fp32, in [-1, 1].
    """
    inputs, outputs = [], []
    for picture, answer, number in zip(made.float(), answers.float(), numbers, strict=True):
        draws = torch.rand(7, generator=randomness.generator(seed, "domain", number)).tolist()
        zoom, down, right, saturation, contrast, brightness, noise = draws
        picture, answer = _enlarged(torch.stack([picture, answer]), LARGEST_ZOOM**zoom, down, right)
        grey = picture.mean(0, keepdim=True)
        picture = grey + 4 ** (saturation - 0.5) * (picture - grey)
        mean = picture.mean()
        picture = mean + 2 ** (contrast - 0.5) * (picture - mean) + 0.4 * (brightness - 0.5)
        grain = torch.randn(
            picture.shape,
            generator=randomness.generator(seed, "grain", number, picture.device),
            device=picture.device,
        )
        inputs.append((picture + NOISE * noise * grain).clamp(-1, 1))
        outputs.append(answer)
    return torch.stack(inputs), torch.stack(outputs)


def _enlarged(images: Tensor, factor: float, down: float, right: float) -> Tensor:
    """A part of the images (n, 3, h, w), `factor` times as large; `down` and `right` in [0, 1) say where it lies."""
    height, width = images.shape[2:]
    rows, columns = round(height / factor), round(width / factor)
    top, left = int(down * (height - rows + 1)), int(right * (width - columns + 1))
    part = images[:, :, top : top + rows, left : left + columns]
    return functional.interpolate(part, (height, width), mode="bilinear")
