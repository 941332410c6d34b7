"""Tiny tasks on data made here: nothing is fetched, and a step takes milliseconds."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from training.config.cyclegan import CycleGanConfig
from training.config.distil import DistilConfig
from training.config.gan import GanConfig
from training.data.mnist import Digits
from training.data.unpaired import Domain
from training.distributed import World
from training.loop import describe
from training.networks.cyclegan import PRESETS, Size
from training.networks.efficientnet_lite import EfficientNetLite0
from training.tasks.collapse_watch import CollapseWatch
from training.tasks.cyclegan import CycleGanTask
from training.tasks.distil import DistilTask
from training.tasks.gan import GanTask


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small are faster on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def draw_digits() -> Callable[..., Digits]:
    """`draw_digits(n, seed=0)`: digits easily told apart, digit d a bright square at place d of a grid of 4 x 3."""

    def draw(n: int, seed: int = 0) -> Digits:
        random = torch.Generator().manual_seed(seed)
        labels = torch.randint(10, (n,), generator=random)
        images = torch.randint(60, (n, 1, 28, 28), generator=random)
        for image, label in zip(images, labels.tolist(), strict=True):
            top, left = 1 + label // 4 * 9, 1 + label % 4 * 7
            image[:, top : top + 6, left : left + 6] += 180
        return Digits(images.to(torch.uint8), labels)

    return draw


@pytest.fixture
def gan_task(tmp_path: Path, draw_digits: Callable[..., Digits]) -> Callable[..., GanTask]:
    """`gan_task(watch=None, **settings)`: few channels, 32 drawn digits, batch 4, 24 images, a tick at 16."""

    def build(watch: CollapseWatch | None = None, **settings: object) -> GanTask:
        chosen = {
            "out": tmp_path / "gan",
            "images": 24,
            "batch": 4,
            "tick_images": 16,
            "latent": 4,
            "width": 2,
            "discriminator_width": 2,
            **settings,
        }
        return GanTask(GanConfig.model_validate(chosen), draw_digits(32), World(), torch.float32, watch)

    return build


def drawn_pair() -> tuple[tuple[Domain, Domain], tuple[torch.Tensor, torch.Tensor]]:
    """Noise, the same every time: 5 and 7 images to learn from, 2 of each to show."""
    random = torch.Generator().manual_seed(0)

    def images(n: int, side: int) -> torch.Tensor:
        return torch.randint(256, (n, 3, side, side), generator=random, dtype=torch.uint8)

    domains = Domain("trainA", images(5, 36), "a" * 64), Domain("trainB", images(7, 36), "b" * 64)
    return domains, (images(2, 32), images(2, 32))


@pytest.fixture
def features() -> EfficientNetLite0:
    """A feature network with random weights that keep the maps' size."""
    network = EfficientNetLite0()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return network


@pytest.fixture
def cyclegan_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, features: EfficientNetLite0
) -> Callable[..., CycleGanTask]:
    """`cyclegan_task(precision=fp32, **settings)`: few channels, random 32 px crops, batch 2, 12 pairs, a tick at 8."""
    monkeypatch.setitem(PRESETS, "compact", (Size(4, 1), 4))
    domains, shown = drawn_pair()

    def build(precision: torch.dtype = torch.float32, **settings: object) -> CycleGanTask:
        chosen = {
            "out": tmp_path / "cyclegan",
            "images": 12,
            "batch": 2,
            "tick_images": 8,
            "resize": 36,
            "crop": 32,
            "pool": 3,
            **settings,
        }
        config = CycleGanConfig.model_validate(chosen)
        projected = config.discriminator == "projected"
        return CycleGanTask(config, domains, shown, World(), precision, features if projected else None)

    return build


@pytest.fixture
def teacher(cyclegan_task: Callable[..., CycleGanTask]) -> dict[str, Any]:
    """What the loop saves of a CycleGAN after a step."""
    task = cyclegan_task(seed=5)
    task.step(0)
    task.update_averages(2)
    return {"task": task.name, "images": 2, **describe(task), **task.state()}


@pytest.fixture
def distil_task(tmp_path: Path, teacher: dict[str, Any], features: EfficientNetLite0) -> Callable[..., DistilTask]:
    """`distil_task(teacher=..., sha256=..., **settings)`: 3 filters taught by 4, else as `cyclegan_task`."""
    domains, shown = drawn_pair()

    def build(teacher: dict[str, Any] = teacher, sha256: str = "f" * 64, **settings: object) -> DistilTask:
        small = {"images": 12, "batch": 2, "tick_images": 8, "resize": 36, "crop": 32, "pool": 3, "filters": 3}
        chosen = {"out": tmp_path / "distilled", "teacher": [tmp_path / "teacher"], **small, **settings}
        config = DistilConfig.model_validate(chosen)
        network = features if config.discriminator == "projected" else None
        return DistilTask(config, domains, shown, World(), torch.float32, teacher, sha256, network)

    return build
