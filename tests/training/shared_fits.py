"""Fits that test_distributed runs alone and shared by two processes: `python shared_fits.py FOLDER` is the latter.

Writes FOLDER/rank-0.pt and rank-1.pt; MASTER_ADDR and MASTER_PORT as torchrun sets them.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training import checkpoint, rng
from training.config.cyclegan import CycleGanConfig
from training.config.distil import DistilConfig
from training.config.gan import GanConfig
from training.data.mnist import Digits
from training.data.unpaired import Domain
from training.distributed import CPU, World, join_world, leave_world
from training.loop import StoppedError, describe, fit
from training.networks.cyclegan import PRESETS, Size
from training.networks.efficientnet_lite import EfficientNetLite0
from training.tasks.base import Task
from training.tasks.cyclegan import CycleGanTask
from training.tasks.distil import DistilTask
from training.tasks.gan import GanTask

TINY = (Size(4, 1), 4)
BATCH = 4
STEPS = 3
PROJECTED = {
    "discriminator": "projected",
    "adversarial": "least_squares",  # the halves of a hinge loss nearly cancel at first: Adam would magnify rounding
    "discriminator_rate": 1e-4,
}


def images() -> tuple[tuple[Domain, Domain], tuple[Tensor, Tensor]]:
    random = torch.Generator().manual_seed(0)
    x, y = (
        Domain(name, torch.randint(256, (5, 3, 36, 36), generator=random, dtype=torch.uint8), name)
        for name in ("trainA", "trainB")
    )
    return (x, y), (x.images[:1, :, :32, :32], y.images[:1, :, :32, :32])


def features() -> EfficientNetLite0:
    """With weights that are the same in every process."""
    with rng.seeded(0, "features"):
        network = EfficientNetLite0()
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
    return network


def cyclegan(world: World, features: EfficientNetLite0 | None = None, **settings: Any) -> CycleGanTask:
    config = CycleGanConfig.model_validate({"batch": BATCH, "resize": 36, "crop": 32, "images": 1000, **settings})
    return CycleGanTask(config, *images(), world, torch.float32, features)


def distil(world: World) -> DistilTask:
    taught_by = cyclegan(World(), pool=0, seed=1)
    teacher = {"task": taught_by.name, "images": 0, **describe(taught_by), **taught_by.state()}
    config = DistilConfig(teacher=[Path()], batch=BATCH, resize=36, crop=32, pool=4, images=1000, filters=3)
    return DistilTask(config, *images(), world, torch.float32, teacher, "f" * 64)


def gan(world: World, **settings: Any) -> GanTask:
    random = torch.Generator().manual_seed(0)
    digits = torch.randint(256, (16, 1, 28, 28), generator=random, dtype=torch.uint8)
    small = {"batch": BATCH, "latent": 4, "width": 2, "discriminator_width": 2, "images": 24}
    chosen = {**small, "rate": 2e-4, "discriminator_rate": 2e-4, **settings}
    config = GanConfig.model_validate(chosen)
    return GanTask(config, Digits(digits, torch.zeros(16, dtype=torch.int64)), world, torch.float32, None)


def without_batch_norm(task: GanTask) -> GanTask:
    """Batch statistics are each process's own, so that only a fit without them can be the same."""
    for network in (task.networks["generator"], task.averages["generator"]):
        for part in (network.project, network.grow):
            for i, layer in enumerate(part):
                if isinstance(layer, nn.BatchNorm2d):
                    part[i] = nn.Identity()
    return task


def run(task: Task) -> dict[str, Any]:
    """Three steps: the mean losses of each, every gradient after the first and everything after the last."""
    losses, gradients = [], {}
    for step in range(STEPS):
        parts = task.step(step * BATCH)
        task.update_averages((step + 1) * BATCH)
        losses.append({name: float(task.world.average(value)) for name, value in parts.items()})
        if step == 0:
            gradients = {
                f"{name}.{parameter}": p.grad.clone()
                for name, network in task.networks.items()
                for parameter, p in network.named_parameters()
                if p.grad is not None
            }
    return {"losses": losses, "gradients": gradients, "state": task.state()}


def fits(world: World) -> dict[str, dict[str, Any]]:
    return {
        "cyclegan with a pool": run(cyclegan(world, pool=4)),
        "cyclegan without a pool": run(cyclegan(world, pool=0)),
        "cyclegan with augmentation": run(cyclegan(world, pool=4, augment=True, seed=1)),
        "cyclegan, G alone": run(cyclegan(world, pool=4, only="G", init=["elsewhere"])),
        "cyclegan, projected": run(cyclegan(world, features=features(), **PROJECTED)),
        "distillation": run(distil(world)),
        "gan": run(without_batch_norm(gan(world))),
    }


def collectives(world: World) -> dict[str, Any]:
    ours = torch.full((1, 2), float(world.rank))
    return {
        "share": list(world.share(6)),
        "gather": world.gather(ours),
        "average": world.average(ours),
        "any": [world.any(False), world.any(world.rank == 1), world.any(True)],
    }


def stopped_and_resumed(world: World, folder: Path) -> list[int]:
    """An uncut fit, one that a SIGTERM to the last process stops, and its resumption; the images of each."""
    images = [fit(gan(world, out=folder / "uncut"))]
    cut = gan(world, out=folder / "cut")
    step = cut.step

    def signalled(first: int) -> dict[str, Tensor]:
        if world.rank == world.size - 1 and first == 8:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(first)

    cut.step = signalled  # type: ignore[method-assign]  # a step that is watched
    with contextlib.suppress(StoppedError):
        fit(cut)
        return images
    images.append(checkpoint.read(folder / "cut")["images"])
    return [*images, fit(gan(world, out=folder / "cut"))]


def process(rank: int, size: int, folder: Path) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(size))
    signal.alarm(240)  # should the other process hang
    torch.set_num_threads(1)
    PRESETS["compact"] = TINY
    world = join_world(CPU)
    try:
        results = {
            "fits": fits(world),
            "collectives": collectives(world),
            "batch norm": run(gan(world))["state"]["networks"]["generator"],
            "images": stopped_and_resumed(world, folder),
        }
        torch.save(results, folder / f"rank-{rank}.pt")
    finally:
        leave_world(world)


def main() -> int:
    fork = multiprocessing.get_context("fork")  # most of the time goes into importing torch: once is enough
    processes = [fork.Process(target=process, args=(rank, 2, Path(sys.argv[1]))) for rank in range(2)]
    for one in processes:
        one.start()
    for one in processes:
        one.join()
    return max(abs(one.exitcode or 0) for one in processes)


if __name__ == "__main__":
    sys.exit(main())
