"""Plots, by a Matplotlib without windows and without a font cache in the user's home folder."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

_CACHE = TemporaryDirectory(prefix="matplotlib-", ignore_cleanup_errors=True)
os.environ.setdefault("MPLCONFIGDIR", _CACHE.name)

import matplotlib  # noqa: E402 - reads MPLCONFIGDIR when it is imported

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from training.stats import read_stats  # noqa: E402

__all__ = ["plot_curves", "plt"]

_NOT_CURVES = {"images", "time"}


def plot_curves(run: Path) -> Path | None:
    """Plots every figure of `run`/stats.jsonl against images seen into `run`/curves.png; None below 2 ticks."""
    lines = read_stats(run)
    if len(lines) < 2:
        return None
    panels = _panels([name for name in dict.fromkeys(n for line in lines for n in line) if name not in _NOT_CURVES])
    figure, axes = plt.subplots(len(panels), 1, figsize=(8, 2.4 * len(panels)), sharex=True, squeeze=False)
    for axis, (title, names) in zip(axes[:, 0], panels.items(), strict=True):
        for name in names:
            points = [(line["images"], line[name]) for line in lines if name in line]
            axis.plot(*zip(*points, strict=True), label=name)
        if title == "likelihood":
            axis.set_ylim(0, 1)
            axis.axhline(0.5, color="grey", linewidth=0.5)
        axis.set_ylabel(title)
        axis.legend(fontsize="x-small")
        axis.grid(alpha=0.3)
    axes[-1, 0].set_xlabel("images seen")
    figure.tight_layout()
    path = run / "curves.png"
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path


def _panels(names: list[str]) -> dict[str, list[str]]:
    """Groups figures that share a unit, by the word before the first underscore."""
    panels: dict[str, list[str]] = {}
    for name in names:
        title = "loss" if name.endswith("_loss") else name.split("_")[0]
        panels.setdefault(title, []).append(name)
    return panels
