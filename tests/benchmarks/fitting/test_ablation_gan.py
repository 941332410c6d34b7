from pathlib import Path

from benchmarks.fitting.ablation_gan import CELL_IMAGES, DEFAULT, GRID, LENGTHS, PLAN, Cell, draw, page


def test_the_plan_crosses_losses_and_regularisers_and_fits_the_default_for_every_length() -> None:
    assert len(set(GRID)) == 6
    assert DEFAULT in GRID
    assert len(set(PLAN)) == len(PLAN) == len(GRID) + len(LENGTHS) - 1


def test_the_page_has_a_row_for_every_cell_and_every_length_in_order(tmp_path: Path) -> None:
    found = [Cell(flags, images, 4.0, 0.001, 40.0, 0.01) for flags, images in PLAN]
    grid, _, curve = page(found, 2.4, "a machine").partition("## Quality against digits seen")
    assert all(f"| `{flags}` | 4.0 | 0.0010 | 40.0 | 0.0100 |" in grid for flags in GRID)
    lengths = [line.split("|")[1].strip() for line in curve.splitlines() if line.startswith("|")][2:]
    assert lengths == [f"{images:,}" for images in LENGTHS]
    assert f"{CELL_IMAGES:,} digits seen" in grid
    draw([cell for cell in found if cell.flags == DEFAULT], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000
