from pathlib import Path

import pytest
import torch
from torch import Tensor

from training.evaluation.features import kept_features


class Counted:
    """Doubles pictures and counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, images: Tensor) -> Tensor:
        self.calls += 1
        return images.flatten(1).float() * 2


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "network.pt"
    path.write_bytes(b"weights")
    return path


def test_features_are_computed_once(tmp_path: Path, network: Path) -> None:
    compute, images = Counted(), torch.arange(8, dtype=torch.uint8).view(2, 1, 2, 2)
    first = kept_features(tmp_path / "cache", network, images, compute)
    assert torch.equal(kept_features(tmp_path / "cache", network, images, compute), first)
    assert torch.equal(first, images.flatten(1).float() * 2)
    assert compute.calls == 1


def test_other_pictures_or_another_network_are_computed_anew(tmp_path: Path, network: Path) -> None:
    compute, images = Counted(), torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    kept_features(tmp_path, network, images, compute)
    kept_features(tmp_path, network, images + 1, compute)
    network.write_bytes(b"other weights")
    kept_features(tmp_path, network, images, compute)
    assert compute.calls == 3


def test_nothing_half_written_is_left(tmp_path: Path, network: Path) -> None:
    kept_features(tmp_path / "cache", network, torch.zeros(2, 1, 2, 2, dtype=torch.uint8), Counted())
    assert [p.suffix for p in (tmp_path / "cache").iterdir()] == [".pt"]


@pytest.mark.parametrize("content", [b"", b"no features", b"PK"])
def test_a_damaged_file_is_computed_anew(tmp_path: Path, network: Path, content: bytes) -> None:
    compute, images = Counted(), torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    first = kept_features(tmp_path / "cache", network, images, compute)
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(content)
    assert torch.equal(kept_features(tmp_path / "cache", network, images, compute), first)
    assert compute.calls == 2
