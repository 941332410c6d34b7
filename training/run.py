"""From settings to a running fit: device, data and task."""

from dataclasses import replace

import torch
from torch import Tensor

from training import provenance
from training.config.base import FitConfig
from training.config.cyclegan import CycleGanConfig
from training.config.distil import DistilConfig
from training.config.gan import GanConfig
from training.config.pair import PairConfig
from training.data.folders import list_side
from training.data.mnist import load_mnist
from training.data.unpaired import Domain, load_domain
from training.distributed import World, join_world, leave_world
from training.evaluation.digit_classifier import cached_classifier, classify
from training.loop import fit
from training.metrics.modes import histogram
from training.networks.pretrained import load_efficientnet
from training.tasks.collapse_watch import CollapseWatch
from training.tasks.cyclegan import CycleGanTask
from training.tasks.distil import DistilTask
from training.tasks.gan import GanTask
from training.teacher import read_teacher

SHOWN_PAIRS = 4
MULTIPLE = 4
"""Sides of whole images are multiples of it, since generators halve them twice."""


class DeviceError(Exception):
    """A requested device that is not available."""


def choose_device(wanted: str) -> torch.device:
    """'auto', 'cuda' or 'cpu' -> the device. Raises DeviceError for 'cuda' without a usable GPU."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise DeviceError("--device cuda, but PyTorch finds no usable GPU here: check the driver, or use --device cpu")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def choose_precision(wanted: str, device: torch.device) -> torch.dtype:
    """'auto', 'bf16' or 'fp32' -> the type; 'auto' is bf16 only in hardware, since emulation is slower than fp32."""
    if wanted == "auto":
        native = (
            torch.cuda.is_bf16_supported(including_emulation=False)
            if device.type == "cuda"
            else torch.cpu._is_avx512_bf16_supported()
        )
        return torch.bfloat16 if native else torch.float32
    return torch.bfloat16 if wanted == "bf16" else torch.float32


def run_gan(config: GanConfig) -> int:
    """Fits the GAN; returns the images seen. Raises StoppedError."""
    world, precision = _prepare(config)
    try:
        watch = None
        if world.is_main:  # before the other processes, since it may unpack archives
            digits = load_mnist(config.data)
            classifier = cached_classifier(config.cache, digits)
            watch = CollapseWatch(
                lambda d: classify(classifier, d), histogram(digits.labels), config.collapse_warmup_images
            )
        world.barrier()
        if not world.is_main:
            digits = load_mnist(config.data)
        return fit(GanTask(config, digits, world, precision, watch))
    finally:
        leave_world(world)


def run_cyclegan(config: CycleGanConfig) -> int:
    """Fits CycleGAN; returns the pairs seen. Raises StoppedError."""
    world, precision = _prepare(config)
    try:
        features = load_efficientnet(config.weights) if config.discriminator == "projected" else None
        return fit(CycleGanTask(config, *_load_images(config, world), world, precision, features))
    finally:
        leave_world(world)


def run_distil(config: DistilConfig) -> int:
    """Fits small generators to a teacher's; returns the pairs seen. Raises StoppedError."""
    world, precision = _prepare(config)
    try:
        teacher, sha256 = read_teacher(config.teacher)
        features = load_efficientnet(config.weights) if config.discriminator == "projected" else None
        return fit(DistilTask(config, *_load_images(config, world), world, precision, teacher, sha256, features))
    finally:
        leave_world(world)


def _load_images(config: PairConfig, world: World) -> tuple[tuple[Domain, Domain], tuple[Tensor, Tensor]]:
    """Both training sets, and the first whole test images of each domain at the scale that crops are cut from."""
    a, b = (list_side(config.data / config.pair, side) for side in "AB")
    if world.is_main:
        print(f"X: {a}\nY: {b}", flush=True)
    side = config.resize // MULTIPLE * MULTIPLE
    shown = (replace(s.test, files=s.test.files[:SHOWN_PAIRS]) for s in (a, b))
    x, y = (load_domain(files, side).images for files in shown)
    return (load_domain(a.train, config.resize), load_domain(b.train, config.resize)), (x, y)


def _prepare(config: FitConfig) -> tuple[World, torch.dtype]:
    provenance.git_commit()  # before anything that takes time
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.backends.cudnn.benchmark = True
    world = join_world(choose_device(config.device))
    precision = choose_precision(config.precision, world.device)
    if world.is_main:
        name = (
            torch.cuda.get_device_name(world.device)
            if world.device.type == "cuda"
            else f"CPU, {torch.get_num_threads()} threads"
        )
        print(f"fitting on {world.device} ({name}) in {precision}, {world.size} process(es)", flush=True)
    return world, precision
