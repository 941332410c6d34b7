"""The record of a run: stats.jsonl, TensorBoard events and the status line."""

import json
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

_SPEED = {"images_per_second", "utilisation"}


class Averages:
    """Means of scalar tensors since the last tick, kept on their device so that no step waits for a copy."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: dict[str, Tensor]) -> None:
        """Adds one step's scalars; a step may leave some out."""
        for name, value in values.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value.clone()
            self._counts[name] = self._counts.get(name, 0) + 1

    def means(self) -> dict[str, Tensor]:
        """The means, still on the device."""
        return {name: total / self._counts[name] for name, total in self._sums.items()}


class Record:
    """Writes the figures of every tick into a run folder."""

    def __init__(self, folder: Path, images: int) -> None:
        """`images`: where the run starts or resumes; lines beyond it, after the last checkpoint, are dropped."""
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "stats.jsonl"
        kept = [line for line in read_stats(folder) if line["images"] <= images]
        self.path.write_text("".join(json.dumps(line) + "\n" for line in kept))
        self._events = SummaryWriter(str(folder / "tensorboard"), purge_step=images + 1 if images else None)

    def write(self, images: int, figures: dict[str, float]) -> None:
        """Writes one line, and one event per figure."""
        line: dict[str, Any] = {"images": images, "time": round(time.time(), 3), **figures}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        for name, value in figures.items():
            self._events.add_scalar(name, value, images)
        self._events.flush()

    def add_image(self, name: str, image: Tensor, images: int) -> None:
        """Writes a uint8 image (H, W) or (H, W, 3) as an event."""
        self._events.add_image(name, image, images, dataformats="HW" if image.dim() == 2 else "HWC")

    def close(self) -> None:
        """Closes the event file."""
        self._events.close()


def read_stats(folder: Path) -> list[dict[str, float]]:
    """The lines of a run's stats.jsonl, oldest first; a last line cut off by a crash is left out."""
    path = folder / "stats.jsonl"
    lines = []
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines


def status_line(images: int, total: int, figures: dict[str, float], seconds_left: float, unit: str) -> str:
    """One line for a log: progress, rate, share of the hardware's peak, time left, figures."""
    shown = "  ".join(f"{name} {value:.3f}" for name, value in figures.items() if name not in _SPEED)
    hours, minutes = divmod(int(seconds_left) // 60, 60)
    rate = figures["images_per_second"]
    share = f"  {figures['utilisation']:.0%} of peak" if "utilisation" in figures else ""
    return f"{unit} {images:>9,} / {total:,}  {rate:7.1f} {unit}/s{share}  {hours:d}:{minutes:02d} h left  {shown}"


def all_finite(tensors: list[Tensor]) -> bool:
    """Whether no tensor holds an infinity or a NaN."""
    return all(bool(torch.isfinite(t).all()) for t in tensors)
