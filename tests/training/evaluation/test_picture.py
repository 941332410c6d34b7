from pathlib import Path

import numpy as np
import torch
from PIL import Image

from training.evaluation.digits import JudgedDigits
from training.evaluation.picture import draw_judged


def test_the_picture_shows_the_samples(tmp_path: Path) -> None:
    dark, bright = torch.zeros(120, 1, 28, 28, dtype=torch.uint8), torch.full((120, 1, 28, 28), 255, dtype=torch.uint8)
    means = []
    for samples in (dark, bright):
        judged = JudgedDigits(samples, torch.arange(120) % 10, samples[:10], [])
        draw_judged(judged, torch.arange(50) % 10, tmp_path / "mnist.png")
        with Image.open(tmp_path / "mnist.png") as picture:
            assert picture.width > 400
            means.append(np.asarray(picture.convert("L")).mean())
    assert means[1] > means[0] + 30
