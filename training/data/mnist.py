"""MNIST (LeCun et al. 1998) in memory."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torchvision.datasets import MNIST
from torchvision.datasets.utils import check_integrity

from training import rng
from training.data.errors import DataError
from training.distributed import World
from training.images import to_signed

CLASSES = 10
"""The digits 0 to 9."""


@dataclass(frozen=True)
class Digits:
    """`images` (n, 1, 28, 28) uint8, ink at 255; `labels` (n,) int64."""

    images: Tensor
    labels: Tensor

    @property
    def sha256(self) -> str:
        """Hash of the pixels and labels, in order."""
        return hashlib.sha256(self.images.numpy().tobytes() + self.labels.numpy().tobytes()).hexdigest()

    def batch(self, first: int, size: int, seed: int, world: World) -> tuple[Tensor, Tensor]:
        """This process's share of the global batch that starts at image `first`.

        Returns images (n, 1, 28, 28) in [-1, 1] and labels (n,), on the device.
        """
        count = len(self.images)
        rows = torch.tensor([rng.shuffled_index(seed, "mnist", first + i, count) for i in world.share(size)])
        return to_signed(self.images[rows].to(world.device)), self.labels[rows].to(world.device)


def load_mnist(root: Path, train: bool = True) -> Digits:
    """The 60,000 training or 10,000 test digits under `root`/MNIST/raw.

    Raises DataError, naming the command that downloads them, if the files are missing or broken.
    """
    raw = root / "MNIST" / "raw"
    packed = all(check_integrity(str(raw / name), md5) for name, md5 in MNIST.resources)
    try:
        # with all four archives there and intact, "download" only unpacks them
        dataset = MNIST(str(root), train=train, download=packed)
    except (RuntimeError, OSError, ValueError, EOFError, AssertionError, KeyError, TypeError) as error:
        raise DataError(
            f"no readable MNIST under {raw} ({error}): use 'gan-train download --which mnist --data {root}' "
            "or copy its four archives to a writable folder, where they are unpacked"
        ) from error
    return Digits(dataset.data.unsqueeze(1), dataset.targets)
