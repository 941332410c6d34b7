import json
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.stats import Averages, Record, all_finite, read_stats, status_line


def images_in(folder: Path) -> list[float]:
    return [line["images"] for line in read_stats(folder)]


def test_averages_are_means_of_the_steps() -> None:
    averages = Averages()
    for value in (1.0, 2.0, 6.0):
        averages.add({"loss": torch.tensor(value)})
    assert averages.means()["loss"].item() == 3


def test_a_figure_that_steps_leave_out_is_averaged_over_those_that_have_it() -> None:
    averages = Averages()
    averages.add({"cycle": torch.tensor(1.0), "identity": torch.tensor(5.0)})
    averages.add({"cycle": torch.tensor(2.0)})
    assert averages.means() == {"cycle": torch.tensor(1.5), "identity": torch.tensor(5.0)}


def test_averaging_leaves_the_added_values_alone() -> None:
    averages, value = Averages(), torch.tensor(1.0)
    averages.add({"loss": value})
    averages.add({"loss": torch.tensor(2.0)})
    assert value.item() == 1


def test_a_record_is_a_line_a_tick(tmp_path: Path) -> None:
    record = Record(tmp_path, 0)
    record.write(8, {"loss": 0.5})
    record.write(16, {"loss": 0.25})
    record.close()
    lines = [json.loads(text) for text in (tmp_path / "stats.jsonl").read_text().splitlines()]
    assert [(line["images"], line["loss"]) for line in lines] == [(8, 0.5), (16, 0.25)]
    assert all(line["time"] > 1.7e9 for line in lines)


def test_a_record_goes_on_after_its_images_and_drops_what_came_later(tmp_path: Path) -> None:
    (tmp_path / "stats.jsonl").write_text("".join(f'{{"images": {i}}}\n' for i in (8, 16, 24)))
    record = Record(tmp_path, 16)
    record.write(24, {})
    record.close()
    assert images_in(tmp_path) == [8, 16, 24]
    assert "time" in read_stats(tmp_path)[-1]  # the new line, not the old one


def test_a_new_run_drops_the_lines_of_one_without_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "stats.jsonl").write_text('{"images": 8}\n')
    Record(tmp_path, 0).close()
    assert images_in(tmp_path) == []


def test_a_line_cut_off_by_a_crash_is_left_out_and_mended(tmp_path: Path) -> None:
    (tmp_path / "stats.jsonl").write_text('{"images": 8}\n{"images": 16, "lo')
    assert images_in(tmp_path) == [8]
    record = Record(tmp_path, 8)
    record.write(16, {})
    record.close()
    assert images_in(tmp_path) == [8, 16]


def test_a_folder_without_record_has_no_lines(tmp_path: Path) -> None:
    assert read_stats(tmp_path) == []


def test_figures_and_images_reach_tensorboard(tmp_path: Path) -> None:
    record = Record(tmp_path, 0)
    record.write(8, {"loss": 0.5})
    record.add_image("grey", torch.zeros(5, 7, dtype=torch.uint8), 8)
    record.add_image("colour", torch.zeros(5, 7, 3, dtype=torch.uint8), 8)
    record.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(8, 0.5)]
    assert [(events.Images(name)[0].height, events.Images(name)[0].width) for name in ("grey", "colour")] == [
        (5, 7)
    ] * 2


def test_the_status_line_says_how_far_how_fast_and_how_long() -> None:
    figures = {"loss": 0.69314, "images_per_second": 1234.56, "utilisation": 0.418}
    line = status_line(19_200, 600_000, figures, seconds_left=3 * 3600 + 7 * 60, unit="images")
    assert line.split() == [
        "images",
        "19,200",
        "/",
        "600,000",
        "1234.6",
        "images/s",
        "42%",
        "of",
        "peak",
        "3:07",
        "h",
        "left",
        "loss",
        "0.693",
    ]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_one_bad_number_is_found(bad: float) -> None:
    good = torch.zeros(3, 3)
    assert all_finite([good, torch.tensor([1e38])])
    assert not all_finite([good, torch.tensor([1.0, bad])])
