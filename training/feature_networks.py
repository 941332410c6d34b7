"""Networks that look at pictures for the scores, loaded from files; none is fetched."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.models import mobilenet_v2
from tqdm import tqdm

from training.data.errors import DataError
from training.data.pixels import to_signed

INCEPTION_FILE = "fid_inception.torchscript.pt"
MOBILENET_FILE = "mobilenet_v2-b0353104.pth"
ZEBRA = 340
"""ImageNet's class of zebras."""


@torch.no_grad()
def inception_features(images: Tensor, weights: Path) -> Tensor:
    """uint8 (N, C, H, W), C 1 or 3 -> pool features (N, 2048) of the FID Inception network.

    Pictures go to 299x299 bilinearly, without antialiasing, as the network's authors did. Raises DataError
    when `weights`/fid_inception.torchscript.pt is missing.
    """
    network = torch.jit.load(str(_existing(weights / INCEPTION_FILE)), map_location="cpu").eval()
    parts = []
    for part in tqdm(images.split(32), desc="Inception", unit="batch", disable=None):
        pixels = interpolate(to_signed(part.expand(-1, 3, -1, -1)), size=(299, 299), mode="bilinear")
        parts.append(network(pixels))
    return torch.cat(parts)


@torch.no_grad()
def imagenet_labels(images: Tensor, weights: Path) -> Tensor:
    """uint8 (N, 3, H, W) -> ImageNet class (N,) by MobileNetV2 at 224 px. Raises DataError when its file is missing."""
    network = mobilenet_v2()
    network.load_state_dict(torch.load(_existing(weights / MOBILENET_FILE), weights_only=True))
    network.eval()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    labels = []
    for part in images.split(32):
        pixels = interpolate(part.float() / 255, size=(224, 224), mode="bilinear", antialias=True)
        labels.append(network((pixels - mean[:, None, None]) / std[:, None, None]).argmax(1))
    return torch.cat(labels)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"{path} is not there: docs/scores.md says where the feature networks come from")
    return path
