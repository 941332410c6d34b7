import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from training import checkpoint, published
from training.checkpoint import CheckpointError
from training.cyclegan_task import CycleGanTask
from training.data.pixels import to_signed, to_uint8
from training.evaluation.candidate import open_candidates
from training.networks.cyclegan import generator_of
from training.training_loop import ResumeError, fit

MODELS = Path(__file__).resolve().parents[2] / "models"
(BUNDLED,) = MODELS.glob("horse2zebra/*/model.onnx")


@pytest.mark.parametrize(
    ("key", "path"), [("G", BUNDLED), ("F", published.other_way(BUNDLED, "horse2zebra"))], ids=["G", "F"]
)
def test_the_networks_draw_what_the_files_draw(key: str, path: Path) -> None:
    state = published.read(path)
    network = generator_of(state["config"])
    network.load_state_dict(state["networks"][key])
    pictures = torch.randint(256, (2, 3, 64, 48), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    (candidate,) = open_candidates(path)
    with torch.no_grad():
        drawn = to_uint8(network(to_signed(pictures)))
    assert (drawn.int() - candidate.run(pictures).int()).abs().max() <= 1


def test_a_fit_goes_on_from_published_generators(cyclegan_task: Callable[..., CycleGanTask], tmp_path: Path) -> None:
    task = cyclegan_task(init=BUNDLED, filters=16, blocks=6, images=2, rate=1e-12)
    new = {name: task.networks[name].state_dict()["score.0.weight"].clone() for name in ("D_X", "D_Y")}
    given = published.read(BUNDLED)
    fit(task)
    for name in "GF":
        weights = task.networks[name].state_dict()
        assert all(torch.allclose(weights[key], value, atol=1e-6) for key, value in given["networks"][name].items())
    for name, weight in new.items():
        moved = (task.networks[name].state_dict()["score.0.weight"] - weight).abs().max()
        assert 0 < moved < 1e-3  # the one step from where they were drawn
    history: list[dict[str, Any]] = checkpoint.read(tmp_path / "cyclegan")["history"]
    assert [run["images"] for run in history] == [*(run["images"] for run in given["history"]), given["images"]]


def test_generators_of_another_size_are_refused(cyclegan_task: Callable[..., CycleGanTask]) -> None:
    with pytest.raises(ResumeError, match=r"model\.onnx are not those of these settings \(.*filters: None there, 8"):
        fit(cyclegan_task(init=BUNDLED, filters=8))


def test_both_directions_are_needed(tmp_path: Path) -> None:
    folder = shutil.copytree(BUNDLED.parent, tmp_path / "horse2zebra" / "1")
    with pytest.raises(CheckpointError, match=re.escape(str(tmp_path / "zebra2horse" / "1" / "model.onnx"))):
        published.read(folder / "model.onnx")


def test_a_published_sampler_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"no translator that gan-export published"):
        published.read(next(MODELS.glob("mnist/*/model.onnx")))


@pytest.mark.parametrize("content", [b"", b"not a model"])
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.onnx"):
        published.read(tmp_path / "model.onnx")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model\.onnx is not a readable ONNX file \(FileNotFoundError\)"):
        published.read(tmp_path / "model.onnx")


def test_the_other_way_has_the_same_variant_and_version() -> None:
    path = Path("/models/horse2zebra-reference/3/model.onnx")
    assert published.other_way(path, "horse2zebra") == Path("/models/zebra2horse-reference/3/model.onnx")
