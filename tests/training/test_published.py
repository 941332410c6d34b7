import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import numpy_helper

from training import checkpoint, published
from training.checkpoint import CheckpointError
from training.cyclegan_task import CycleGanTask
from training.data.pixels import to_signed, to_uint8
from training.evaluation.candidate import open_candidates
from training.networks.cyclegan import generator_of
from training.training_loop import ResumeError, fit

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
    """The bundled generators as both directions of one fit, which they need not be, where a test may change them."""
    made = tuple(tmp_path / way / "1" / "model.onnx" for way in ("horse2zebra", "zebra2horse"))
    for path in made:
        path.parent.mkdir(parents=True)
        shutil.copy(max(MODELS.glob(f"{path.parts[-3]}/*/model.onnx")), path)
    training = json.loads((BUNDLED.parent / "card.json").read_text())["training"]
    alter(made[1], lambda card: card.update(training=training))
    return made


@pytest.mark.parametrize(("key", "place"), [("G", 0), ("F", 1)])
def test_the_networks_draw_what_the_files_draw(pair: tuple[Path, ...], key: str, place: int) -> None:
    path = pair[place]
    state = published.read(path)
    network = generator_of(state["config"])
    network.load_state_dict(state["networks"][key])
    pictures = torch.randint(256, (2, 3, 64, 48), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    (candidate,) = open_candidates(path)
    with torch.no_grad():
        drawn = to_uint8(network(to_signed(pictures)))
    assert (drawn.int() - candidate.run(pictures).int()).abs().max() <= 1


def test_a_fit_goes_on_from_published_generators(
    pair: tuple[Path, ...], cyclegan_task: Callable[..., CycleGanTask], tmp_path: Path
) -> None:
    task = cyclegan_task(init=pair[0], filters=16, blocks=6, images=2, rate=1e-12)
    new = {name: task.networks[name].state_dict()["score.0.weight"].clone() for name in ("D_X", "D_Y")}
    given = published.read(pair[0])
    fit(task)
    for name in "GF":
        weights = task.networks[name].state_dict()
        assert all(torch.allclose(weights[key], value, atol=1e-6) for key, value in given["networks"][name].items())
    for name, weight in new.items():
        moved = (task.networks[name].state_dict()["score.0.weight"] - weight).abs().max()
        assert 0 < moved < 1e-3  # the one step from where they were drawn
    history: list[dict[str, Any]] = checkpoint.read(tmp_path / "cyclegan")["history"]
    assert [run["images"] for run in history] == [*(run["images"] for run in given["history"]), given["images"]]


def test_generators_of_another_size_are_refused(
    pair: tuple[Path, ...], cyclegan_task: Callable[..., CycleGanTask]
) -> None:
    with pytest.raises(ResumeError, match=r"model\.onnx are not those of these settings \(.*filters: None there, 8"):
        fit(cyclegan_task(init=pair[0], filters=8))


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
    with pytest.raises(CheckpointError, match=r"model\.onnx does not exist"):
        published.read(tmp_path / "model.onnx")


@pytest.mark.parametrize("lacking", ["images", "config"])
def test_a_card_that_lacks_something_is_refused(pair: tuple[Path, ...], lacking: str) -> None:
    for path in pair:
        alter(path, lambda card: card["training"].pop(lacking))
    with pytest.raises(CheckpointError, match=rf"model\.onnx or its card lacks '{lacking}': publish it again"):
        published.read(pair[0])


def test_a_card_without_a_pair_is_refused(pair: tuple[Path, ...]) -> None:
    alter(pair[0], lambda card: card["training"]["config"].pop("pair"))
    with pytest.raises(CheckpointError, match="lacks 'pair'"):
        published.read(pair[0])


def test_a_card_from_before_histories_has_none(pair: tuple[Path, ...]) -> None:
    for path in pair:
        alter(path, lambda card: card["training"].pop("history"))
    assert published.read(pair[1])["history"] == []


def test_directions_of_different_fits_are_refused(pair: tuple[Path, ...]) -> None:
    alter(pair[1], lambda card: card["training"].update(images=1))
    with pytest.raises(CheckpointError, match="are not both directions of one fit"):
        published.read(pair[0])


def test_the_same_direction_twice_is_refused(pair: tuple[Path, ...]) -> None:
    shutil.copy(pair[0], pair[1])
    with pytest.raises(CheckpointError, match="are not both directions of one fit"):
        published.read(pair[0])


def test_a_file_away_from_its_folder_is_refused(pair: tuple[Path, ...], tmp_path: Path) -> None:
    shutil.copy(pair[0], tmp_path / "model.onnx")
    with pytest.raises(CheckpointError, match="are not both directions of one fit"):
        published.read(tmp_path / "model.onnx")


def test_half_precision_is_refused(pair: tuple[Path, ...]) -> None:
    model = onnx.load(str(pair[0]))
    weights = next(tensor for tensor in model.graph.initializer if tensor.name.startswith(published.PREFIX))
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights).astype("float16"), weights.name))
    onnx.save(model, str(pair[0]))
    with pytest.raises(CheckpointError, match=r"half precision: give the model\.onnx beside it"):
        published.read(pair[0])


def test_a_fit_of_the_other_way_round_is_refused(
    pair: tuple[Path, ...], cyclegan_task: Callable[..., CycleGanTask]
) -> None:
    with pytest.raises(ResumeError, match=r"pair: horse2zebra there, zebra2horse asked for"):
        fit(cyclegan_task(init=pair[0], filters=16, blocks=6, pair="zebra2horse"))


def test_a_distilled_pair_goes_on_being_distilled(
    pair: tuple[Path, ...], cyclegan_task: Callable[..., CycleGanTask]
) -> None:
    for path in pair:
        alter(path, lambda card: card["training"]["config"].update(teacher_weight=10.0))
    with pytest.raises(ResumeError, match="of task distil, not cyclegan"):
        fit(cyclegan_task(init=pair[0]))


def test_the_other_way_has_the_same_variant_and_version() -> None:
    path = Path("/models/horse2zebra-reference/3/model.onnx")
    assert published.other_way(path, "horse2zebra") == Path("/models/zebra2horse-reference/3/model.onnx")
