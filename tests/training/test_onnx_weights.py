import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import numpy_helper

from training import onnx_weights
from training.checkpoint import CheckpointError, ResumeError
from training.evaluation.candidate import open_candidates
from training.images import to_signed, to_uint8
from training.loop import fit
from training.networks.cyclegan import generator_of
from training.tasks.cyclegan import CycleGanTask

MODELS = Path(__file__).resolve().parents[2] / "models"
BUNDLED = max(MODELS.glob("horse2zebra/*/model.onnx"))


def alter(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes the card inside a file."""
    model = onnx.load(str(path))
    for prop in model.metadata_props:
        if prop.key == "model_card":
            card = json.loads(prop.value)
            change(card)
            prop.value = json.dumps(card)
    onnx.save(model, str(path))


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, ...]:
    """The bundled generators of both directions, where a test may change them."""
    made = tuple(tmp_path / way / "1" / "model.onnx" for way in ("horse2zebra", "zebra2horse"))
    for path in made:
        path.parent.mkdir(parents=True)
        shutil.copy(max(MODELS.glob(f"{path.parts[-3]}/*/model.onnx")), path)
    return made


@pytest.mark.parametrize(("key", "place"), [("G", 0), ("F", 1)])
def test_the_networks_draw_what_the_files_draw(pair: tuple[Path, ...], key: str, place: int) -> None:
    path = pair[place]
    state = onnx_weights.read(path)
    network = generator_of(state["config"])
    network.load_state_dict(state["networks"][key])
    images = torch.randint(256, (2, 3, 64, 48), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    (candidate,) = open_candidates(path)
    with torch.no_grad():
        drawn = to_uint8(network(to_signed(images)))
    assert (drawn.int() - candidate.run(images).int()).abs().max() <= 1


def test_a_fit_goes_on_from_published_generators(
    pair: tuple[Path, ...], cyclegan_task: Callable[..., CycleGanTask]
) -> None:
    task = cyclegan_task(init=list(pair), filters=16, blocks=6, generator_norm="none", images=2, rate=1e-12)
    new = {name: task.networks[name].state_dict()["score.0.weight"].clone() for name in ("D_X", "D_Y")}
    fit(task)
    for name, path in zip("GF", pair, strict=True):
        weights, given = task.networks[name].state_dict(), onnx_weights.read(path)["networks"][name]
        assert all(torch.allclose(weights[key], value, atol=1e-6) for key, value in given.items())
    for name, weight in new.items():
        moved = (task.networks[name].state_dict()["score.0.weight"] - weight).abs().max()
        assert 0 < moved < 1e-3  # the one step from where they were drawn


def test_generators_of_another_size_are_refused(
    pair: tuple[Path, ...], cyclegan_task: Callable[..., CycleGanTask]
) -> None:
    with pytest.raises(ResumeError, match=r"model\.onnx are not those of these settings \(.*filters: None there, 8"):
        fit(cyclegan_task(init=list(pair), filters=8, generator_norm="none"))


def test_a_published_sampler_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"no translator that gan-export published"):
        onnx_weights.read(next(MODELS.glob("mnist/*/model.onnx")))


@pytest.mark.parametrize("content", [b"", b"not a model"])
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.onnx"):
        onnx_weights.read(tmp_path / "model.onnx")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model\.onnx does not exist"):
        onnx_weights.read(tmp_path / "model.onnx")


@pytest.mark.parametrize("lacking", ["images", "config"])
def test_a_card_that_lacks_something_is_refused(pair: tuple[Path, ...], lacking: str) -> None:
    alter(pair[0], lambda card: card["training"].pop(lacking))
    with pytest.raises(CheckpointError, match=rf"model\.onnx or its card has no '{lacking}': publish it again"):
        onnx_weights.read(pair[0])


def test_a_card_without_a_pair_is_refused(pair: tuple[Path, ...]) -> None:
    alter(pair[0], lambda card: card["training"]["config"].pop("pair"))
    with pytest.raises(CheckpointError, match="has no 'pair'"):
        onnx_weights.read(pair[0])


def test_a_card_from_before_histories_has_none(pair: tuple[Path, ...]) -> None:
    alter(pair[1], lambda card: card["training"].pop("history"))
    assert onnx_weights.read(pair[1])["history"] == []


def test_a_card_of_another_pair_is_refused(pair: tuple[Path, ...]) -> None:
    alter(pair[0], lambda card: card["training"]["config"].update(pair="apple2orange"))
    with pytest.raises(CheckpointError, match="has no 'horse2zebra'"):
        onnx_weights.read(pair[0])


def test_half_precision_is_refused(pair: tuple[Path, ...]) -> None:
    model = onnx.load(str(pair[0]))
    weights = next(tensor for tensor in model.graph.initializer if tensor.name.startswith(onnx_weights.PREFIX))
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights).astype("float16"), weights.name))
    onnx.save(model, str(pair[0]))
    with pytest.raises(CheckpointError, match=r"half precision: give the model\.onnx beside it"):
        onnx_weights.read(pair[0])


def test_a_fit_of_the_opposite_round_is_refused(
    pair: tuple[Path, ...], cyclegan_task: Callable[..., CycleGanTask]
) -> None:
    with pytest.raises(ResumeError, match=r"pair: horse2zebra there, zebra2horse asked for"):
        fit(cyclegan_task(init=list(pair), filters=16, blocks=6, pair="zebra2horse"))


def test_a_distilled_pair_goes_on_being_distilled(
    pair: tuple[Path, ...], cyclegan_task: Callable[..., CycleGanTask]
) -> None:
    for path in pair:
        alter(path, lambda card: card["training"]["config"].update(teacher_weight=10.0))
    with pytest.raises(ResumeError, match="of task distil, not cyclegan"):
        fit(cyclegan_task(init=list(pair)))


def test_the_opposite_has_the_same_variant_and_version() -> None:
    path = Path("/models/horse2zebra-reference/3/model.onnx")
    assert onnx_weights.opposite(path, "horse2zebra") == Path("/models/zebra2horse-reference/3/model.onnx")
