from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks.fitting.ablation_cyclegan import (
    COMMON,
    IMAGES,
    LAST,
    METRICS,
    PLAN,
    WAYS,
    Cell,
    draw,
    figures,
    last_of,
    name_of,
    page,
)
from training import checkpoint
from training.config.cyclegan import CycleGanConfig
from training.evaluation.report import Report
from training.evaluation.report import score as score_of
from training.networks.cyclegan import Generator

SCORES = {way: {"KID": 14.86, "labelled": 0.39, "change": 20.0, "background": 18.0, "cycle": 10.0} for way in WAYS}


def test_every_cell_has_a_folder_of_its_own() -> None:
    names = [name_of(flags) for flags in PLAN]
    assert len(set(names)) == len(PLAN)
    assert names[0] == f"paper-{IMAGES}"
    assert not any(character in name for name in names for character in " ,/")


@pytest.mark.parametrize("flags", PLAN)
def test_the_flags_of_every_cell_are_options_of_the_fit(flags: str) -> None:
    given = [word[2:].replace("-", "_") for word in f"{COMMON} {flags}".split() if word.startswith("--")]
    assert set(given) <= set(CycleGanConfig.model_fields)


def test_the_page_has_a_row_for_every_cell() -> None:
    text = page([Cell(flags, SCORES) for flags in (*PLAN, LAST)], "a machine")
    rows = [line for line in text.splitlines() if line.startswith(("| `--", "| none", "| the same fit's last"))]
    assert len(rows) == len(PLAN) + 1
    assert all(row.endswith("| 14.9 | 39% | 14.9 | 39% | 20.0 | 18.0 | 10.0 |") for row in rows)


def test_figures_are_read_from_a_report_by_name() -> None:
    scores = [score_of(metric, value, "made up") for value, metric in enumerate([*METRICS.values(), "another"])]
    report = Report(model="horse2zebra", graph_sha256=None, scores=scores)
    assert figures(report) == dict(zip(METRICS, range(5), strict=True))


def test_last_weights_take_the_place_of_their_averages(tmp_path: Path) -> None:
    last, average = Generator(4, 1).state_dict(), Generator(4, 1).state_dict()
    state = {"images": 1, "networks": {"G": last, "F": last, "D_X": {}}, "averages": {"G": average, "F": average}}
    checkpoint.write(tmp_path / "run", state)
    found = checkpoint.read(last_of(tmp_path / "run", tmp_path / "last"))
    assert found["averages"].keys() == {"G", "F"}
    assert all(torch.equal(found["averages"]["F"][name], weight) for name, weight in last.items())


def test_the_picture_shows_the_photograph_and_every_run(tmp_path: Path) -> None:
    run, weights = tmp_path / "run", Generator(4, 1).state_dict()
    config = {"preset": "compact", "filters": 4, "blocks": 1, "pair": "horse2zebra"}
    averages = {"G": weights, "F": weights}
    checkpoint.write(run, {"task": "cyclegan", "images": 1, "config": config, "averages": averages})
    draw([run, run], tmp_path / "picture.webp")
    with Image.open(tmp_path / "picture.webp") as picture:
        assert picture.width > 3 * 256
