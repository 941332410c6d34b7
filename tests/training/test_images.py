from pathlib import Path

import pytest
import torch
from PIL import Image

from training.images import save_png, tile


def test_images_go_row_by_row_with_a_white_gap() -> None:
    images = torch.tensor([10, 20, 30, 40], dtype=torch.uint8).reshape(4, 1, 1, 1)
    assert tile(images, columns=2, gap=1).tolist() == [
        [10, 255, 20],
        [255, 255, 255],
        [30, 255, 40],
    ]


def test_what_is_left_of_the_last_row_is_white() -> None:
    images = torch.zeros(4, 1, 3, 5, dtype=torch.uint8)
    grid = tile(images, columns=3)
    assert grid.shape == (3 + 2 + 3, 5 + 2 + 5 + 2 + 5)
    assert (grid[:3, :5] == 0).all()
    assert (grid[5:, :5] == 0).all()
    assert (grid[5:, 5:] == 255).all()


def test_colours_go_last() -> None:
    red = torch.tensor([200, 0, 0], dtype=torch.uint8).reshape(1, 3, 1, 1).expand(2, 3, 4, 4)
    grid = tile(red, columns=2)
    assert grid.shape == (4, 10, 3)
    assert grid[0, 0].tolist() == [200, 0, 0]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_a_saved_grid_is_read_back(tmp_path: Path, channels: int, mode: str) -> None:
    grid = tile(torch.randint(256, (3, channels, 4, 6), dtype=torch.uint8), columns=2)
    path = tmp_path / "new" / "000000008.png"
    save_png(grid, path)
    with Image.open(path) as image:
        assert image.mode == mode
        assert torch.equal(torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8), grid.flatten())
