"""All test pictures beside their translations, for a person to look at; the photographs are not ours to hand on."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from training.images import tile

COLUMNS = 6


def draw_contact_sheet(sources: Tensor, made: Tensor, path: Path) -> None:
    """Writes a JPEG of pairs, source left and translation right; both uint8 (n, 3, h, w)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = tile(torch.cat([sources, made], dim=3), COLUMNS, gap=6)
    Image.fromarray(sheet.numpy()).save(path, quality=90)
