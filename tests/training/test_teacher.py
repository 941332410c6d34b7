from pathlib import Path
from typing import Any

import pytest
import torch

from training import checkpoint, onnx_weights
from training.checkpoint import CheckpointError
from training.generators import finished_generators
from training.tasks.history import learnt
from training.teacher import read_teacher

MODELS = Path(__file__).resolve().parents[2] / "models"
TO_ZEBRA, TO_HORSE = (max(MODELS.glob(f"{way}/*/model.onnx")) for way in ("horse2zebra", "zebra2horse"))


def test_a_run_teaches_with_its_newest_checkpoint(teacher: dict[str, Any], tmp_path: Path) -> None:
    path = checkpoint.write(tmp_path, teacher)
    for source in (path, tmp_path):
        state, sha256 = read_teacher([source])
        assert (state["images"], sha256) == (2, checkpoint.sha256(path))


def test_published_files_of_both_directions_teach_without_discriminators() -> None:
    state, sha256 = read_teacher([TO_HORSE, TO_ZEBRA])
    assert sha256 == f"{checkpoint.sha256(TO_HORSE)},{checkpoint.sha256(TO_ZEBRA)}"
    assert learnt(state) & {"D_X", "D_Y"} == set()
    g, f = finished_generators(state)
    for finished, path in ((g, TO_ZEBRA), (f, TO_HORSE)):
        weights = onnx_weights.read(path)["averages"][finished.key]
        assert all(torch.equal(weights[name], value) for name, value in finished.network.state_dict().items())


@pytest.mark.parametrize("sources", [[TO_ZEBRA], [TO_ZEBRA, TO_ZEBRA]])
def test_one_direction_is_not_enough(sources: list[Path]) -> None:
    with pytest.raises(CheckpointError, match="one way only: give the published files of both directions"):
        read_teacher(sources)


def test_files_of_two_sizes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    read = onnx_weights.read

    def altered(path: Path) -> dict[str, Any]:
        state = read(path)
        return {**state, "config": {**state["config"], "filters": 8}} if path == TO_HORSE else state

    monkeypatch.setattr(onnx_weights, "read", altered)
    with pytest.raises(CheckpointError, match="is of another pair or size"):
        read_teacher([TO_ZEBRA, TO_HORSE])
