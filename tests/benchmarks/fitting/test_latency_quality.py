import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.fitting.latency_quality import (
    BLOCKS,
    FILTERS,
    FOUND,
    SIZES,
    draw,
    export,
    merge,
    open_session,
    read_cards,
    row_size,
    scores,
    table,
)
from service.card import ModelCard, Score
from service.settings import BUNDLED_MODELS
from training.networks.cyclegan import Size


def card(direction: str, kid: float, **settings: Any) -> ModelCard:
    """A bundled translator's, with other settings and one score."""
    given = next(c for c in read_cards([BUNDLED_MODELS]) if c.direction == direction)
    training = given.training.model_copy(update={"config": {**given.training.config, **settings}})
    score = Score(metric="KID x 100 (Inception)", value=kid, protocol="made up")
    return given.model_copy(update={"training": training, "scores": (score,)})


def rows() -> list[dict[str, Any]]:
    return [
        {**size._asdict(), "megabytes": 1.0, "cpu_ms": size.filters * size.blocks, "ms": {"1": 2.0, "2": 1.0}}
        for size in SIZES
    ]


def test_the_best_score_of_a_size_and_direction_counts() -> None:
    cards = [card("horse2zebra", 3), card("horse2zebra", 2), card("zebra2horse", 4), card("horse2zebra", 1, filters=32)]
    assert scores(cards) == {
        Size(16, 6): {"horse2zebra": 2, "zebra2horse": 4},
        Size(32, 6): {"horse2zebra": 1},
    }


def test_scores_that_were_given_before_are_kept_and_the_lower_ones_count(capsys: pytest.CaptureFixture[str]) -> None:
    kept = [
        {**Size(8, 3)._asdict(), "kids": {"horse2zebra": 5.0}},
        {**Size(16, 6)._asdict(), "kids": {"horse2zebra": 3.0, "zebra2horse": 3.0}},
    ]
    fresh = {Size(16, 6): {"horse2zebra": 2.0, "zebra2horse": 4.0}, Size(12, 6): {"horse2zebra": 1.0}}
    assert merge(fresh, kept) == {
        Size(8, 3): {"horse2zebra": 5.0},
        Size(16, 6): {"horse2zebra": 2.0, "zebra2horse": 3.0},
    }
    assert "12 x 6 is scored but not timed" in capsys.readouterr().out


def test_bundled_translators_have_a_place_on_the_curve() -> None:
    found = scores(read_cards([BUNDLED_MODELS]))
    assert found
    assert found.keys() <= set(SIZES)


def test_the_table_is_sorted_by_time_and_shows_scores_where_there_are_some() -> None:
    lines = table(rows(), {Size(16, 6): {"horse2zebra": 2.345}}).splitlines()
    assert len(lines) == 2 + len(SIZES)
    assert len({line.count("|") for line in lines}) == 1
    times = [int(line.split("|")[3]) for line in lines[2:]]
    assert times == sorted(times)
    (scored,) = (line for line in lines if "2.35" in line or "2.34" in line)
    assert scored.startswith("| 16 x 6 |")


@pytest.mark.parametrize("kids", [{}, {Size(16, 6): {"horse2zebra": 2.0}}], ids=["no scores", "scores"])
def test_the_curve_is_drawn(tmp_path: Path, kids: dict[Any, Any]) -> None:
    draw(rows(), kids, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_what_was_measured_can_be_drawn_again() -> None:
    known = json.loads(FOUND.read_text())
    measured = known["rows"]
    assert {row_size(row) for row in known["scores"]} <= set(SIZES)
    assert [row_size(row) for row in measured] == SIZES
    assert len(table(measured, {}).splitlines()) == 2 + len(SIZES)


def test_an_exported_size_runs(tmp_path: Path) -> None:
    megabytes = export(Size(4, 1), tmp_path / "model.onnx")
    assert 0 < megabytes < 1
    picture = np.zeros((1, 32, 48, 3), dtype=np.uint8)
    (answer,) = open_session(tmp_path / "model.onnx", 2).run(None, {"image": picture})
    assert (answer.shape, answer.dtype) == (picture.shape, np.uint8)


def test_every_width_is_timed_with_every_depth() -> None:
    assert {Size(f, b) for f in FILTERS for b in BLOCKS} <= set(SIZES)
