"""What was judged, as a picture: samples, what they resemble most, and which digits they are."""

from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from training.evaluation.digits import JudgedDigits
from training.images import tile
from training.metrics.modes import histogram


def draw_judged(judged: JudgedDigits, training_labels: Tensor, path: Path) -> None:
    """Writes a PNG: 100 samples, the first ten over their nearest training digits, the histogram beside training's."""
    figure, (grid, pairs, bars) = plt.subplots(
        3, 1, figsize=(6, 10), height_ratios=(6, 1.3, 2), gridspec_kw={"hspace": 0.25}
    )
    grid.imshow(tile(judged.samples[:100], columns=10).numpy(), cmap="gray", vmin=0, vmax=255)
    grid.set_title("samples")
    first = judged.samples[: len(judged.neighbours)]
    pairs.imshow(tile(torch.cat([first, judged.neighbours]), columns=len(first)).numpy(), cmap="gray", vmin=0, vmax=255)
    pairs.set_title("samples over their nearest training digits")
    for axis in (grid, pairs):
        axis.axis("off")
    digits = range(10)
    bars.bar([d - 0.2 for d in digits], histogram(judged.labels).tolist(), 0.4, label="samples")
    bars.bar([d + 0.2 for d in digits], histogram(training_labels).tolist(), 0.4, label="training set")
    bars.set_xticks(list(digits))
    bars.set_ylabel("share")
    bars.legend(fontsize="small", loc="lower right")
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)
