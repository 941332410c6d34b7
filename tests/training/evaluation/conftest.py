"""Candidates that need no fit, and networks that stand in for those of the scores' files."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from training.data.mnist import Digits
from training.evaluation.candidate import Candidate
from training.evaluation.digit_classifier import fit_classifier
from training.networks.classifier import DigitClassifier
from training.networks.pretrained import INCEPTION_FILE, MOBILENET_FILE


@pytest.fixture(scope="session")
def classifier(draw_digits: Callable[..., Digits]) -> DigitClassifier:
    """Knows the drawn digits."""
    return fit_classifier(draw_digits(1280))


@pytest.fixture
def sampler() -> Callable[..., Candidate]:
    """`sampler(draw, **changes)`: a candidate whose digits are `draw(z, *labels)`."""

    def build(draw: Callable[..., Tensor], conditional: bool = False) -> Candidate:
        return Candidate("mnist", None, 4, conditional, draw, None)

    return build


class PixelMeans(nn.Module):
    """A stand-in for the Inception network: 24 features of 299 px images in [-1, 1], 8 a channel."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(x, (149, 74)).flatten(1)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder with an Inception file of its own; MobileNetV2 with random weights, which knows nothing."""
    from torchvision.models import mobilenet_v2

    folder = tmp_path / "weights"
    folder.mkdir()
    torch.jit.save(torch.jit.trace(PixelMeans(), torch.zeros(1, 3, 299, 299)), str(folder / INCEPTION_FILE))
    network = mobilenet_v2()
    nn.init.uniform_(network.classifier[1].weight)  # so that there is evidence for every class
    torch.save(network.state_dict(), folder / MOBILENET_FILE)
    return folder
