from pathlib import Path

import numpy as np
import torch
from PIL import Image

from training.evaluation.contact_sheet import COLUMNS, draw_contact_sheet


def test_every_picture_stands_left_of_its_translation(tmp_path: Path) -> None:
    n, side = 8, 32
    sources = torch.arange(n).mul(20).to(torch.uint8).view(n, 1, 1, 1).expand(n, 3, side, side)
    made = 255 - sources
    draw_contact_sheet(sources, made, tmp_path / "new" / "horse2zebra.jpg")
    with Image.open(tmp_path / "new" / "horse2zebra.jpg") as picture:
        assert picture.format == "JPEG"
        pixels = np.asarray(picture.convert("L")).astype(int)
    for i in range(n):
        top, left = i // COLUMNS * (side + 6) + side // 2, i % COLUMNS * (2 * side + 6) + side // 2
        assert abs(pixels[top, left] - 20 * i) < 8
        assert abs(pixels[top, left + side] - (255 - 20 * i)) < 8
