from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from training import checkpoint, onnx_weights
from training.checkpoint import CheckpointError
from training.loop import fit
from training.resume import ResumeError, warm_start
from training.tasks.cyclegan import CycleGanTask

MODELS = Path(__file__).resolve().parents[2] / "models"
G, F = (max(MODELS.glob(f"{way}/*/model.onnx")) for way in ("horse2zebra", "zebra2horse"))
SIZE: dict[str, Any] = {"filters": 16, "blocks": 6}
Build = Callable[..., CycleGanTask]


def test_what_learns_starts_further_from_where_the_fit_before_it_began(cyclegan_task: Build, tmp_path: Path) -> None:
    fit(cyclegan_task(**SIZE, only="F", init=[G, F], out=tmp_path / "first", ema_images=2, rate=1e-3))
    first, origin = checkpoint.read(tmp_path / "first"), onnx_weights.read(F)["averages"]["F"]
    settings = {**SIZE, "only": "F", "init": [tmp_path / "first"], "extrapolate": 3, "extrapolate_from": F}
    task = cyclegan_task(**settings)
    warm_start(task, [tmp_path / "first"])
    for name in task.networks:
        for key, weights in task.networks[name].state_dict().items():
            ended = first["averages" if name in "GF" else "networks"][name][key]
            expected = origin[key] + 3 * (ended - origin[key]) if name == "F" else ended
            torch.testing.assert_close(weights, expected)
            if name in "GF":
                assert torch.equal(task.averages[name].state_dict()[key], weights)
    assert not torch.equal(task.networks["F"].layers[1].weight, first["averages"]["F"]["layers.1.weight"])
    fit(cyclegan_task(**settings, out=tmp_path / "second", images=4))
    fit(cyclegan_task(**{**settings, "extrapolate_from": Path("gone")}, out=tmp_path / "second", images=6))  # resumed
    assert checkpoint.read(tmp_path / "second")["images"] == 6
    with pytest.raises(ResumeError, match=r"extrapolate: 3\.0 there, 2\.0 asked for"):
        fit(cyclegan_task(**{**settings, "extrapolate": 2}, out=tmp_path / "second", images=8))


def test_a_generator_that_stands_still_is_not_moved(cyclegan_task: Build) -> None:
    task = cyclegan_task(**SIZE, only="F", init=[G, F], extrapolate=2, extrapolate_from=G)
    with pytest.raises(ResumeError, match=r"holds G, which stands still here: give the other direction's"):
        warm_start(task, [G, F])


def test_a_file_that_the_learner_did_not_go_on_from_is_no_start(cyclegan_task: Build, tmp_path: Path) -> None:
    fit(cyclegan_task(**SIZE, out=tmp_path / "other"))
    task = cyclegan_task(**SIZE, only="F", init=[tmp_path / "other"], extrapolate=2, extrapolate_from=F)
    with pytest.raises(
        ResumeError, match=r"has not come any way from .*onnx: give the published file that its fit began"
    ):
        warm_start(task, [tmp_path / "other"])


def test_what_is_there_already_has_gone_nowhere(cyclegan_task: Build) -> None:
    task = cyclegan_task(**SIZE, only="F", init=[G, F], extrapolate=2, extrapolate_from=F)
    with pytest.raises(ResumeError, match="has not come any way"):
        warm_start(task, [G, F])


def test_a_start_is_a_published_file(cyclegan_task: Build, tmp_path: Path) -> None:
    for origin, error, reason in (
        (tmp_path, ResumeError, r"is no published file: give --extrapolate-from the \.onnx that the fit began with"),
        (Path("gone.onnx"), CheckpointError, r"gone\.onnx does not exist"),
    ):
        task = cyclegan_task(**SIZE, only="F", init=[G, F], extrapolate=2, extrapolate_from=origin)
        with pytest.raises(error, match=reason):
            warm_start(task, [G, F])
