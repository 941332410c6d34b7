"""From settings to a running fit: devices, data, task."""

import torch
from torch import Tensor

from training import checkpoint, provenance
from training.collapse import CollapseWatch
from training.config import CycleGanConfig, FitConfig, GanConfig
from training.cyclegan_task import CycleGanTask
from training.data.mnist import load_mnist
from training.data.unpaired import load_domain, load_training_domain
from training.digit_classifier import cached_classifier, classify
from training.distributed import World, join_world, leave_world
from training.gan_task import GanTask
from training.metrics.modes import histogram
from training.progress import Progress
from training.task import Task
from training.training_loop import fit

SHOWN_PAIRS = 4


class DeviceError(Exception):
    """A device or precision that was asked for and is not there."""


class StoppedError(Exception):
    """A fit that a signal ended before its length; it is saved, and the same command goes on from there."""


def choose_device(wanted: str) -> torch.device:
    """'auto', 'cuda' or 'cpu' -> the device. Raises DeviceError for 'cuda' without a usable GPU."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise DeviceError("--device cuda, but PyTorch finds no usable GPU here: check the driver, or use --device cpu")
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def choose_precision(wanted: str, device: torch.device) -> torch.dtype:
    """'auto' is bf16 where the hardware computes in it, since emulated bf16 is slower than fp32."""
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
        if world.is_main:  # first and alone, since it may unpack archives
            digits = load_mnist(config.data)
            classifier = cached_classifier(config.cache, digits)
            watch = CollapseWatch(
                lambda d: classify(classifier, d), histogram(digits.labels), config.collapse_warmup_images
            )
        world.barrier()
        if not world.is_main:
            digits = load_mnist(config.data)
        return _fit_whole(GanTask(config, digits, world, precision, watch))
    finally:
        leave_world(world)


def run_cyclegan(config: CycleGanConfig) -> int:
    """Fits CycleGAN; returns the pairs seen. Raises StoppedError."""
    world, precision = _prepare(config)
    try:
        root = config.data / config.pair
        domains = (
            load_training_domain(root, "trainA", config.resize),
            load_training_domain(root, "trainB", config.resize),
        )
        shown = _shown(config, "testA"), _shown(config, "testB")
        return _fit_whole(CycleGanTask(config, domains, shown, world, precision))
    finally:
        leave_world(world)


def _fit_whole(task: Task) -> int:
    """`fit`, to the end: raises StoppedError, in every process, when it was left before."""
    images = fit(task)
    config = task.config
    by_clock = config.minutes is not None and images  # without images nothing was saved
    seconds = float(checkpoint.read(config.out)["seconds"]) if by_clock else 0.0
    if Progress(config, task.world, seconds).done(images) < 1:
        raise StoppedError(f"stopped at image {images:,}")
    return images


def _shown(config: CycleGanConfig, name: str) -> Tensor:
    """The first test pictures of a domain, whole, at the size that is learnt from."""
    return load_domain(config.data / config.pair, name, config.crop).images[:SHOWN_PAIRS]


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
