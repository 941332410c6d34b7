"""The loop that fits any task: steps, averages, and at every tick checkpoints, figures and samples."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

import torch
from tqdm import tqdm

from training import checkpoint, provenance
from training.config.base import FitConfig
from training.distributed import World
from training.flops import CountedSteps, peak_flops, utilisation
from training.images import save_png
from training.plots import plot_curves
from training.resume import restore_newest
from training.stats import Averages, Record, all_finite, status_line
from training.tasks.base import Task


class DivergedError(Exception):
    """A loss or weight that is not finite; the message names the last good checkpoint."""


class StoppedError(Exception):
    """A fit that a signal ended before its length; it is saved, and the same command resumes it."""


def fit(task: Task) -> int:
    """Fits `task` for its configured length, resuming from its run folder if that holds a checkpoint.

    Returns the number of images the run has seen. Raises StoppedError after a SIGTERM or a Ctrl-C, in every process
    and with everything saved; DivergedError, ResumeError or CheckpointError.
    """
    config, world = task.config, task.world

    # Resume
    images, seconds = restore_newest(task)
    progress = Progress(config, world, seconds, time.monotonic)
    done = progress.done(images)
    if done >= 1:
        if world.is_main:
            cure = "more --images" if config.minutes is None else "more --minutes"
            print(f"{config.out} is finished at image {images:,}: to go on, ask for {cure}", flush=True)
        return images
    if world.is_main and images:
        print(f"resuming {config.out} at image {images:,}", flush=True)

    # Prepare the record
    record = Record(config.out, images) if world.is_main else None
    averages, steps = Averages(), CountedSteps(task)
    peak = peak_flops(world.device, task.precision) if world.is_main else 0.0
    tick_start, tick_images, run_start, run_done = time.monotonic(), images, time.monotonic(), done
    total = config.images if config.minutes is None else None
    bar = tqdm(
        total=total, initial=images, unit=config.UNIT[:-1], unit_scale=True, disable=None if world.is_main else True
    )

    # Train
    with ExitStack() as stack:
        stack.callback(bar.close)
        if record:
            stack.callback(record.close)
        stop = stack.enter_context(_stop_on_signals())
        while done < 1 and not world.any(stop.requested):
            task.set_rate(done, images)
            averages.add(steps.step(images))
            images += config.batch
            task.update_averages(images)
            bar.update(config.batch)
            done = progress.done(images)

            # Tick
            crossed = images // config.tick_images > (images - config.batch) // config.tick_images
            if not crossed and done < 1:
                continue
            now = time.monotonic()
            speed = {"images_per_second": (images - tick_images) / (now - tick_start)}
            if steps.flops_per_image and peak:
                speed["utilisation"] = utilisation(steps.flops_per_image, speed["images_per_second"], peak)
            left = (1 - done) * (now - run_start) / (done - run_done)
            _tick(task, record, averages, images, progress.seconds, speed, left, bar)
            averages, tick_start, tick_images = Averages(), time.monotonic(), images

        # Save what came after the last tick
        if images > tick_images:
            _save(task, averages, images, progress.seconds)
    if world.is_main:
        plot_curves(config.out)
        if done < 1:
            print(f"stopped at image {images:,}; the same command resumes from there", flush=True)
    if done < 1:
        raise StoppedError
    return images


class Progress:
    """The progress of a run, in images or by the clock; it sets the learning rate and the end of the run."""

    def __init__(self, config: FitConfig, world: World, seconds: float, clock: Callable[[], float]) -> None:
        """`seconds`: the time that the run had taken when it was saved. `clock`: seconds, such as time.monotonic."""
        self._config, self._world, self._clock = config, world, clock
        self._start = clock() - seconds

    @property
    def seconds(self) -> float:
        """Time that the run has taken, over all its resumptions."""
        return self._clock() - self._start

    def done(self, images: int) -> float:
        """Progress of the run at image `images` in [0, 1], 1 at its end; the same in every process.

        By the clock if the run's length is set in minutes, in images otherwise.
        """
        if self._config.minutes is None:
            return min(1.0, images / self._config.images)
        spent = self.seconds / (60 * self._config.minutes)
        if self._world.size > 1:  # clocks differ, and every process must stop at the same step
            spent = float(self._world.average(torch.tensor(spent, device=self._world.device)))
        return min(1.0, spent)


def _tick(
    task: Task,
    record: Record | None,
    averages: Averages,
    images: int,
    seconds: float,
    speed: dict[str, float],
    left: float,
    bar: "tqdm[Any]",
) -> None:
    """Saves, then logs the tick's figures and writes its sample grid."""
    figures = _save(task, averages, images, seconds)
    if record is None:
        return
    measured, warning = task.inspect(images)
    figures = {**figures, **measured, **speed}
    record.write(images, figures)
    grid = task.sample_grid()
    save_png(grid, task.config.out / "samples" / f"{images:09d}.png")
    record.add_image("samples", grid, images)
    if bar.disable:
        ahead = round(left * speed["images_per_second"])
        total = task.config.images if task.config.minutes is None else images + ahead
        print(status_line(images, total, figures, left, task.config.UNIT), flush=True)
    else:
        bar.set_postfix_str("  ".join(f"{name} {value:.2f}" for name, value in list(figures.items())[:4]))
    if warning:
        tqdm.write(f"WARNING: {warning}")


def _save(task: Task, averages: Averages, images: int, seconds: float) -> dict[str, float]:
    """Writes a checkpoint if losses and weights are finite; returns the mean losses over all processes."""
    config, world = task.config, task.world
    figures = {name: float(world.average(value)) for name, value in averages.means().items()}
    weights = [p for network in task.networks.values() for p in network.parameters()]
    if not all_finite([torch.tensor(list(figures.values())), *weights]):
        bad = [name for name, value in figures.items() if value - value != 0] or ["a weight"]
        found = checkpoint.list_checkpoints(config.out)
        cure = (
            f"the last good checkpoint is {found[-1]}: start from it with --init, another --out and a lower --rate"
            if found
            else "there is no checkpoint yet: start again with a lower --rate"
        )
        raise DivergedError(f"{', '.join(bad)} is not finite by image {images:,}; {cure}")
    if world.is_main:
        state = {"task": task.name, "images": images, "seconds": seconds, **describe(task), **task.state()}
        checkpoint.write(config.out, state)
    world.barrier()
    return figures


def describe(task: Task) -> dict[str, Any]:
    """Where a checkpoint comes from: settings, data set and code."""
    return {"config": task.config.model_dump(mode="json"), "dataset": task.dataset, "provenance": provenance.describe()}


class _Stop:
    requested = False


@contextmanager
def _stop_on_signals() -> Iterator[_Stop]:
    """The first SIGINT or SIGTERM makes the loop save and return; a second one ends the process at once."""
    stop = _Stop()
    previous: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def request(number: int, frame: FrameType | None) -> None:
        stop.requested = True
        restore()

    for number in (signal.SIGINT, signal.SIGTERM):
        previous[number] = signal.signal(number, request)
    try:
        yield stop
    finally:
        restore()
