"""Tiny checkpoints, each kind traced once: tracing takes ten seconds and more."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from export import publish as publishing
from training import checkpoint
from training.networks import cyclegan, gan

LATENT, WIDTH = 4, 2


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small are faster on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", autouse=True)
def _tiny_preset() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cyclegan.PRESETS, "toy", (cyclegan.Size(4, 1), 4))
        yield


@pytest.fixture(scope="session", autouse=True)
def _trace_once() -> Iterator[None]:
    """A network whose weights were traced before gets a copy of that model."""
    traced: dict[bytes, bytes] = {}
    trace = publishing.to_onnx

    def remember(graph: nn.Module, *arguments: Any) -> onnx.ModelProto:
        key = b"".join(tensor.numpy().tobytes() for tensor in graph.state_dict().values())
        if key not in traced:
            traced[key] = trace(graph, *arguments).SerializeToString()
        return onnx.ModelProto.FromString(traced[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publishing, "to_onnx", remember)
        yield


def _state(task: str, config: dict[str, Any], averages: dict[str, nn.Module]) -> dict[str, Any]:
    return {
        "task": task,
        "images": 5000,
        "config": {"seed": 0, "data": "/home/me/data", "out": "/home/me/runs", "init": "/home/me/old.pt", **config},
        "dataset": {"name": "drawn here", "sha256": "d" * 64},
        "history": [],
        "provenance": {"git_commit": "c" * 40, "torch": "2.14.1"},
        "averages": {name: network.state_dict() for name, network in averages.items()},
    }


@pytest.fixture(scope="session")
def gan_state() -> dict[str, Any]:
    """What a fit of the vanilla GAN saves, as far as the export reads it."""
    torch.manual_seed(0)
    generator = gan.Generator(LATENT, WIDTH, clusters=3)
    generator.set_shares(torch.tensor([0.5, 0.2, 0.3]))
    for _ in range(3):
        generator(torch.randn(64, LATENT))  # moves the running means away from 0 and 1
    config = {
        "latent": LATENT,
        "width": WIDTH,
        "conditional": False,
        "stacked": False,
        "clusters": 3,
        "cache": "/home/me/cache",
    }
    return _state("gan", config, {"generator": generator})


@pytest.fixture(scope="session")
def conditional_state() -> dict[str, Any]:
    """What a fit with labels saves."""
    torch.manual_seed(0)
    generator = gan.Generator(LATENT, WIDTH, classes=10)
    for _ in range(3):
        generator(torch.randn(64, LATENT), torch.arange(64) % 10)
    config = {"latent": LATENT, "width": WIDTH, "conditional": True, "stacked": False, "clusters": 0}
    return _state("gan", config, {"generator": generator})


@pytest.fixture(scope="session")
def cyclegan_state() -> dict[str, Any]:
    """What a fit of CycleGAN saves; G and F are equal, so that one trace does for both."""
    torch.manual_seed(0)
    network = cyclegan.Generator(4, 1)
    return _state("cyclegan", {"pair": "horse2zebra", "preset": "toy"}, {"G": network, "F": network})


@pytest.fixture(scope="session")
def gan_checkpoint(tmp_path_factory: pytest.TempPathFactory, gan_state: dict[str, Any]) -> Path:
    return checkpoint.write(tmp_path_factory.mktemp("gan"), gan_state)


@pytest.fixture(scope="session")
def cyclegan_checkpoint(tmp_path_factory: pytest.TempPathFactory, cyclegan_state: dict[str, Any]) -> Path:
    return checkpoint.write(tmp_path_factory.mktemp("cyclegan"), cyclegan_state)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory, gan_checkpoint: Path, cyclegan_checkpoint: Path) -> Path:
    """A models folder with mnist/1, horse2zebra/1 and zebra2horse/1. Not to be written to."""
    models = tmp_path_factory.mktemp("published")
    publishing.publish(gan_checkpoint, models)
    publishing.publish(cyclegan_checkpoint, models)
    return models


@pytest.fixture
def overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on exports have weights that put one layer beyond half precision's range.

    In fp32 nothing changes: the normalisation behind it divides by whatever the weights are multiplied with.
    """
    trace = publishing.to_onnx

    def enlarge(*arguments: Any) -> onnx.ModelProto:
        model = trace(*arguments)
        (weights,) = (w for w in model.graph.initializer if w.name.endswith("residual.1.weight"))
        values = onnx.numpy_helper.to_array(weights)
        weights.CopyFrom(onnx.numpy_helper.from_array(values * (60_000 / np.abs(values).max()), weights.name))
        return model

    monkeypatch.setattr(publishing, "to_onnx", enlarge)


@pytest.fixture
def alter(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """`alter(n)`: from now on the n-th export comes out with one weight changed."""

    def install(which: int) -> None:
        trace, calls = publishing.to_onnx, []

        def spoil(*arguments: Any) -> onnx.ModelProto:
            model = trace(*arguments)
            calls.append(model)
            if len(calls) == which:
                weights = max(model.graph.initializer, key=lambda initialiser: len(initialiser.raw_data))
                values = onnx.numpy_helper.to_array(weights).copy()
                values.flat[:8] += 1
                weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
            return model

        monkeypatch.setattr(publishing, "to_onnx", spoil)

    return install
