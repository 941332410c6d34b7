"""The networks with stand-ins; with the real ones where FEATURE_WEIGHTS names their folder."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from training.data.errors import DataError
from training.evaluation.feature_networks import (
    PARITY,
    cached_features,
    equine_maps,
    imagenet_labels,
    inception_features,
    load_inception,
)
from training.images import to_signed
from training.networks.pretrained import INCEPTION_FILE, MOBILENET_FILE

WEIGHTS = Path(os.environ.get("FEATURE_WEIGHTS", "no-folder"))
needs_weights = pytest.mark.skipif(
    not (WEIGHTS / INCEPTION_FILE).is_file(), reason="FEATURE_WEIGHTS names no folder with the feature networks"
)
HORSES = Path(__file__).resolve().parents[3] / "docs" / "images" / "nokota-horses.webp"


class Convolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 8, 5, stride=4)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).relu().mean((2, 3))


class Fourier(nn.Module):
    """Has no ONNX form in the operator set that is used."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.svdvals(x.mean(1))[:, :8]


@pytest.fixture
def save(tmp_path: Path) -> Callable[[nn.Module], Path]:
    """`save(network)`: its TorchScript file."""

    def write(network: nn.Module) -> Path:
        path = tmp_path / INCEPTION_FILE
        torch.jit.save(torch.jit.trace(network, torch.zeros(1, 3, 299, 299)), str(path))
        return path

    return write


def probe(n: int, seed: int = 1) -> Tensor:
    return torch.randint(256, (n, 3, 299, 299), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def test_onnx_runtime_gives_the_features_of_the_original(save: Callable[[nn.Module], Path], tmp_path: Path) -> None:
    file = save(Convolution())
    network = load_inception(file, tmp_path / "cache")
    assert not isinstance(network, torch.jit.ScriptModule)
    pixels = to_signed(probe(5))
    assert (network(pixels) - torch.jit.load(str(file))(pixels)).abs().max() < PARITY
    (kept,) = (tmp_path / "cache").iterdir()
    made = kept.stat().st_mtime_ns
    assert not isinstance(load_inception(file, tmp_path / "cache"), torch.jit.ScriptModule)
    assert kept.stat().st_mtime_ns == made  # exported once


@pytest.mark.parametrize("content", [b"", b"no model"])
def test_a_damaged_export_leaves_it_to_pytorch_and_is_named(
    save: Callable[[nn.Module], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    file = save(Convolution())
    load_inception(file, tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(content)
    assert isinstance(load_inception(file, tmp_path / "cache"), torch.jit.ScriptModule)
    assert f"slower: {kept} cannot be made or read" in capsys.readouterr().out


def test_an_export_that_differs_is_not_used(
    save: Callable[[nn.Module], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exports = []
    for _ in range(2):  # random weights, so that the second network is another one
        file = save(Convolution())
        load_inception(file, tmp_path / "cache")
        exports.append(next(p for p in (tmp_path / "cache").iterdir() if p not in exports))
    exports[1].write_bytes(exports[0].read_bytes())
    assert isinstance(load_inception(file, tmp_path / "cache"), torch.jit.ScriptModule)
    assert "differ by" in capsys.readouterr().out


def test_a_network_without_an_onnx_form_runs_in_pytorch(
    save: Callable[[nn.Module], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = load_inception(save(Fourier()), tmp_path / "cache")
    assert network(to_signed(probe(2))).shape == (2, 8)
    assert "Inception runs in PyTorch" in capsys.readouterr().out
    assert not list((tmp_path / "cache").glob("*.onnx"))


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{INCEPTION_FILE} is not there"):
        inception_features(probe(1), tmp_path, tmp_path)
    for look in (imagenet_labels, equine_maps):
        with pytest.raises(DataError, match=f"{MOBILENET_FILE} is not there"):
            look(probe(1), tmp_path)


@pytest.mark.parametrize("content", [b"", b"no weights", b". no pickle"])
def test_damaged_weights_are_named(tmp_path: Path, content: bytes) -> None:
    for name in (INCEPTION_FILE, MOBILENET_FILE):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{INCEPTION_FILE} is no TorchScript file"):
        inception_features(probe(1), tmp_path, tmp_path)
    with pytest.raises(DataError, match=f"{MOBILENET_FILE} is not MobileNetV2's"):
        imagenet_labels(probe(1), tmp_path)


def test_another_network_in_place_of_mobilenet_is_named(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / MOBILENET_FILE)
    with pytest.raises(DataError, match=f"{MOBILENET_FILE} is not MobileNetV2's"):
        imagenet_labels(probe(1), tmp_path)


@needs_weights
def test_the_real_inception_is_the_same_in_onnx_runtime(tmp_path: Path) -> None:
    network = load_inception(WEIGHTS / INCEPTION_FILE, tmp_path)
    assert not isinstance(network, torch.jit.ScriptModule)
    pixels = to_signed(probe(3))
    with torch.no_grad():
        original = torch.jit.load(str(WEIGHTS / INCEPTION_FILE)).eval()(pixels)
    assert original.shape == (3, 2048)
    assert (network(pixels) - original).abs().max() < 1e-4


@needs_weights
def test_the_map_lies_on_the_horses() -> None:
    with Image.open(HORSES) as photograph:
        image = torch.from_numpy(np.array(photograph.convert("RGB").resize((256, 256)))).permute(2, 0, 1)
    found = equine_maps(image[None], WEIGHTS)[0, 0]
    assert found.shape == (256, 256)
    assert 0 <= found.min() < found.max() <= 1
    assert found[:48].mean() < 0.1  # the sky
    assert found[80:210, 32:230].mean() > 0.4  # the herd


class Counted:
    """Doubles images and counts how often it is asked."""

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
    first = cached_features(tmp_path / "cache", network, images, compute)
    assert torch.equal(cached_features(tmp_path / "cache", network, images, compute), first)
    assert torch.equal(first, images.flatten(1).float() * 2)
    assert compute.calls == 1


def test_other_images_or_another_network_are_computed_anew(tmp_path: Path, network: Path) -> None:
    compute, images = Counted(), torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    cached_features(tmp_path, network, images, compute)
    cached_features(tmp_path, network, images + 1, compute)
    network.write_bytes(b"other weights")
    cached_features(tmp_path, network, images, compute)
    assert compute.calls == 3


def test_nothing_half_written_is_left(tmp_path: Path, network: Path) -> None:
    cached_features(tmp_path / "cache", network, torch.zeros(2, 1, 2, 2, dtype=torch.uint8), Counted())
    assert [p.suffix for p in (tmp_path / "cache").iterdir()] == [".pt"]


@pytest.mark.parametrize("content", [b"", b"no features", b"PK"])
def test_a_damaged_file_is_computed_anew(tmp_path: Path, network: Path, content: bytes) -> None:
    compute, images = Counted(), torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    first = cached_features(tmp_path / "cache", network, images, compute)
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(content)
    assert torch.equal(cached_features(tmp_path / "cache", network, images, compute), first)
    assert compute.calls == 2
