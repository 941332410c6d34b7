"""Networks with published weights: the files, their hashes, and how they are loaded. Nothing is downloaded."""

import hashlib
import pickle
from pathlib import Path

import torch
from torchvision.models import MobileNetV2

from training.data.errors import DataError
from training.networks.efficientnet_lite import EfficientNetLite0

INCEPTION_FILE = "fid_inception.torchscript.pt"
MOBILENET_FILE = "mobilenet_v2-b0353104.pth"
EFFICIENTNET_FILE = "efficientnet-lite0-57934424.pth"
SHA256 = {
    INCEPTION_FILE: "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
    MOBILENET_FILE: "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
    EFFICIENTNET_FILE: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
}
"""Hashes of the published files; scores made with other files are not comparable."""


def weight_file(weights: Path, name: str) -> Path:
    """The path of a file in the folder `weights`. Raises DataError if it is missing."""
    path = weights / name
    if not path.is_file():
        raise DataError(f"{path} is not there: docs/fitting/scores.md says where the feature networks come from")
    return path


def check_weights(weights: Path, *names: str) -> None:
    """Checks that the files exist, before anything that takes time. Raises DataError for a missing one.

    Prints a line for a file with another hash than the published one.
    """
    for name in names:
        if not _is_published(weight_file(weights, name)):
            print(
                f"{weights / name} is not the file that docs/fitting/scores.md names: its scores compare with no others"
            )


def load_efficientnet(weights: Path) -> EfficientNetLite0:
    """The feature network of projected discriminators. Raises DataError if its file is missing or another one."""
    file = weight_file(weights, EFFICIENTNET_FILE)
    if not _is_published(file):
        raise DataError(f"{file} is damaged or another file: download it again, as docs/fitting/scores.md says")
    network = EfficientNetLite0()
    network.load(torch.load(file, weights_only=True))
    return network


def load_mobilenet(weights: Path) -> MobileNetV2:
    """MobileNetV2 in evaluation mode. Raises DataError if its file is missing or holds another network."""
    network, file = MobileNetV2(), weight_file(weights, MOBILENET_FILE)
    try:
        network.load_state_dict(torch.load(file, weights_only=True))
    except (RuntimeError, TypeError, ValueError, LookupError, EOFError, pickle.UnpicklingError) as error:
        raise DataError(f"{file} is not MobileNetV2's: download it again, as docs/fitting/scores.md says") from error
    return network.eval()


def _is_published(file: Path) -> bool:
    return hashlib.sha256(file.read_bytes()).hexdigest() == SHA256[file.name]
