import json
from pathlib import Path

import numpy as np
from PIL import Image

from training.plots import plot_curves

#: matplotlib's first line colour.
BLUE = (31, 119, 180)


def write_stats(folder: Path, *lines: dict[str, float]) -> None:
    (folder / "stats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def blue_columns(path: Path) -> int:
    """Pixel columns in which a blue line is drawn."""
    with Image.open(path) as image:
        return int((np.asarray(image.convert("RGB")) == BLUE).all(2).any(0).sum())


def test_curves_are_drawn_across_the_image(tmp_path: Path) -> None:
    write_stats(tmp_path, *({"images": i, "time": 1e9, "generator_loss": i * i} for i in range(4)))
    path = plot_curves(tmp_path)
    assert path == tmp_path / "curves.png"
    assert blue_columns(path) > 500


def test_figures_of_another_unit_have_a_panel_of_their_own(tmp_path: Path) -> None:
    heights = []
    for other in ("discriminator_loss", "likelihood_real"):
        write_stats(tmp_path, *({"images": i, "generator_loss": 1.0, other: 0.5} for i in range(2)))
        path = plot_curves(tmp_path)
        assert path is not None
        with Image.open(path) as image:
            heights.append(image.height)
    assert heights[1] == 2 * heights[0]


def test_a_figure_that_ticks_leave_out_is_drawn(tmp_path: Path) -> None:
    write_stats(
        tmp_path,
        {"images": 8, "cycle_X": 1.0},
        {"images": 16, "cycle_X": 0.9, "identity_G": 0.5},
        {"images": 24, "cycle_X": 0.8, "identity_G": 0.4},
    )
    path = plot_curves(tmp_path)
    assert path is not None
    assert blue_columns(path) > 500


def test_nothing_is_drawn_before_the_second_tick(tmp_path: Path) -> None:
    write_stats(tmp_path, {"images": 8, "generator_loss": 1.0})
    assert plot_curves(tmp_path) is None
    assert not (tmp_path / "curves.png").exists()
