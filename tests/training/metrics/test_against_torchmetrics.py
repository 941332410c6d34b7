"""Our distances beside those of a library that computes them by another way, on features that are the images."""

import pytest
import torch
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from training.metrics.fid import frechet_distance
from training.metrics.kid import kernel_distance

WIDTH = 12


class Flat(nn.Module):
    """Features that are the pixels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)[:, :WIDTH]


def sets() -> tuple[torch.Tensor, torch.Tensor]:
    dice = torch.Generator().manual_seed(0)
    return torch.randn(150, 3, 2, 2, generator=dice), 1.3 * torch.randn(90, 3, 2, 2, generator=dice) + 0.4


def test_the_frechet_distance() -> None:
    ours, real = sets()
    metric = FrechetInceptionDistance(feature=Flat(), input_img_size=(3, 2, 2), normalize=True).set_dtype(torch.double)
    metric.update(real.double(), real=True)
    metric.update(ours.double(), real=False)
    assert frechet_distance(ours.flatten(1), real.flatten(1)) == pytest.approx(float(metric.compute()), rel=1e-4)


def test_the_kernel_distance() -> None:
    ours, real = sets()
    real = real[:80]
    metric = KernelInceptionDistance(feature=Flat(), subsets=1, subset_size=80, normalize=True)
    metric.update(real, real=True)
    metric.update(ours[:80], real=False)
    theirs = float(metric.compute()[0])
    assert kernel_distance(ours[:80].flatten(1), real.flatten(1)) == pytest.approx(theirs, rel=1e-3)
