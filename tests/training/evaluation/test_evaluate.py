import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from training import checkpoint
from training.data.errors import DataError
from training.evaluation.candidate import Candidate
from training.evaluation.evaluate import EvaluateConfig, evaluate
from training.evaluation.report import Report
from training.loop import describe
from training.networks.pretrained import INCEPTION_FILE, MOBILENET_FILE
from training.tasks.base import Task


def publish(models: Path, direction: str, version: str = "1", suffix: str = "") -> Path:
    """models/<direction><suffix>/<version>/model.onnx, which copies images."""
    axes = ["N", "H", "W", 3]
    values = [helper.make_tensor_value_info(name, TensorProto.UINT8, axes) for name in ("image", "translation")]
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Identity", ["image"], ["translation"])], direction, values[:1], values[1:]
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    helper.set_model_props(model, {"task": "translate", "name": direction, "direction": direction})
    path = models / f"{direction}{suffix}" / version / "model.onnx"
    path.parent.mkdir(parents=True)
    onnx.save(model, path)
    return path


@pytest.fixture
def run(tmp_path: Path, weights: Path) -> Callable[..., list[Report]]:
    """`run(model, **options)`: its reports, on two or three noisy images a folder."""
    dice = np.random.default_rng(0)
    for pair in ("horse2zebra", "apple2orange"):
        for name, count in (("testA", 2), ("testB", 3), ("trainA", 3), ("trainB", 3)):
            folder = tmp_path / "data" / pair / name
            folder.mkdir(parents=True)
            for i in range(count):
                Image.fromarray(dice.integers(0, 256, (256, 256, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    folders = {"data": tmp_path / "data", "cache": tmp_path / "cache", "out": tmp_path / "out", "weights": weights}

    def call(model: Path, **options: Path | None) -> list[Report]:
        return evaluate(EvaluateConfig.model_validate({"model": model, **folders, **options}))

    return call


def metrics(report: Report) -> set[str]:
    return {s.metric for s in report.scores}


def test_a_published_file_goes_back_through_the_one_of_its_version(
    run: Callable[..., list[Report]], tmp_path: Path
) -> None:
    forth = publish(tmp_path / "models", "horse2zebra")
    back = publish(tmp_path / "models", "zebra2horse", "2")
    (report,) = run(forth)
    assert "cycle error" not in metrics(report)
    (report,) = run(forth, back=back)
    assert "cycle error" in metrics(report)
    publish(tmp_path / "models", "zebra2horse", "1")
    (report,) = run(forth)
    assert "cycle error" in metrics(report)
    written = Report.model_validate_json((tmp_path / "out" / "horse2zebra.json").read_text())
    assert (written.graph_sha256, metrics(written)) == (report.graph_sha256, metrics(report))
    with Image.open(tmp_path / "out" / "horse2zebra.jpg") as sheet:
        assert sheet.size[0] >= 512


def test_a_variant_goes_back_through_the_same_variant(run: Callable[..., list[Report]], tmp_path: Path) -> None:
    forth = publish(tmp_path / "models", "horse2zebra", suffix="-reference")
    publish(tmp_path / "models", "zebra2horse")
    (report,) = run(forth)
    assert "cycle error" not in metrics(report)
    publish(tmp_path / "models", "zebra2horse", suffix="-reference")
    (report,) = run(forth)
    assert "cycle error" in metrics(report)


@pytest.mark.parametrize(("way", "count"), [("apple2orange", 2), ("orange2apple", 3)])
def test_another_pair_is_scored_on_its_own_images(
    run: Callable[..., list[Report]], tmp_path: Path, way: str, count: int
) -> None:
    (report,) = run(publish(tmp_path / "models", way))
    assert {"KID x 100 (Inception)", "FID (Inception)", "mean change"} <= metrics(report)
    assert not any("zebra" in metric or "animal" in metric or "background" in metric for metric in metrics(report))
    assert report.scores[0].protocol.startswith(f"{count} translated against {5 - count} test images")


def test_a_pair_without_images_is_refused(run: Callable[..., list[Report]], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has neither cat2dog nor dog2cat"):
        run(publish(tmp_path / "models", "cat2dog"))


def test_a_checkpoint_is_scored_both_ways_with_its_cycle(
    run: Callable[..., list[Report]], cyclegan_task: Callable[..., Task], tmp_path: Path
) -> None:
    task = cyclegan_task()
    checkpoint.write(tmp_path / "pair", {"task": task.name, "images": 8, **describe(task), **task.state()})
    published = publish(tmp_path / "models", "horse2zebra")
    reports = run(tmp_path / "pair")
    assert [r.model for r in reports] == ["horse2zebra", "zebra2horse"]
    for report in reports:
        assert "cycle error" in metrics(report)
    forth, back = run(tmp_path / "pair", against=published)
    assert "KID x 100 (Inception), difference" in metrics(forth)
    assert "KID x 100 (Inception), difference" not in metrics(back)
    (report,) = run(published, against=tmp_path / "pair")
    (said,) = (s for s in report.scores if s.metric == "KID x 100 (Inception), difference")
    assert "horse2zebra of a checkpoint" in said.protocol


def test_what_only_brought_images_back_in_a_run_is_not_scored(
    run: Callable[..., list[Report]], cyclegan_task: Callable[..., Task], tmp_path: Path
) -> None:
    task = cyclegan_task(only="F", init=["elsewhere"])
    checkpoint.write(tmp_path / "pair", {"task": task.name, "images": 8, **describe(task), **task.state()})
    (report,) = run(tmp_path / "pair")
    assert report.model == "zebra2horse"
    assert "cycle error" in metrics(report)


@pytest.mark.parametrize("option", ["back", "against"])
def test_a_file_of_the_wrong_direction_is_refused(
    run: Callable[..., list[Report]], tmp_path: Path, option: str
) -> None:
    forth = publish(tmp_path / "models", "horse2zebra")
    other = publish(tmp_path / "others", {"back": "horse2zebra", "against": "zebra2horse"}[option])
    with pytest.raises(DataError, match=f"--{option} .* holds no"):
        run(forth, **{option: other})


def test_translations_need_the_feature_networks(run: Callable[..., list[Report]], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs --weights"):
        run(publish(tmp_path / "models", "horse2zebra"), weights=None)


@pytest.mark.parametrize("name", [INCEPTION_FILE, MOBILENET_FILE])
def test_a_missing_feature_network_is_named_before_anything_is_translated(
    run: Callable[..., list[Report]], tmp_path: Path, weights: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def translate(*_: object, **__: object) -> None:
        pytest.fail("it was asked for too late")

    monkeypatch.setattr(Candidate, "generate", translate)
    (weights / name).unlink()
    with pytest.raises(DataError, match=f"{name} is not there: docs/fitting/scores.md"):
        run(publish(tmp_path / "models", "horse2zebra"))


def test_a_pair_that_mobilenet_does_not_know_needs_none(
    run: Callable[..., list[Report]], tmp_path: Path, weights: Path
) -> None:
    (weights / MOBILENET_FILE).unlink()
    assert run(publish(tmp_path / "models", "apple2orange"))


def test_a_single_image_is_no_set(run: Callable[..., list[Report]], tmp_path: Path) -> None:
    (tmp_path / "data" / "horse2zebra" / "testA" / "1.png").unlink()
    with pytest.raises(DataError, match="1 image in testA: distances between sets need two"):
        run(publish(tmp_path / "models", "horse2zebra"))


def test_intervals_of_few_images_are_numbers(run: Callable[..., list[Report]], tmp_path: Path) -> None:
    (report,) = run(publish(tmp_path / "models", "horse2zebra"))
    for score in report.scores:
        assert all(bound is None or math.isfinite(bound) for bound in (score.low, score.high)), score.metric
