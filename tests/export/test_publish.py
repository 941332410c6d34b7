import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from export.generators import exportables
from export.parity import ParityError
from export.publish import PublishError, attach_scores, publish
from service.card import (
    CARD_FILE,
    HALF_FILE,
    METADATA_KEY,
    MODEL_FILE,
    CardError,
    ModelCard,
    Score,
    SizeRule,
    read_card,
    sha256_of,
)
from service.images import tiles
from service.runtime.cpu import CpuSession
from service.runtime.latents import latents
from service.runtime.slots import Slot
from training import checkpoint, provenance
from training import onnx_weights as translators
from training.checkpoint import CheckpointError
from training.evaluation.candidate import graph_sha256
from training.networks import cyclegan

SCORES = (Score(metric="FID (Inception)", value=60.5, low=58.0, high=63.0, protocol="140 test pictures"),)


@pytest.fixture
def folder(tmp_path: Path, published: Path) -> Path:
    """A published sampler that a test may change."""
    return shutil.copytree(published / "mnist" / "1", tmp_path / "mnist" / "1")


def embedded_card(folder: Path, file: str = MODEL_FILE) -> ModelCard:
    properties = {prop.key: prop.value for prop in onnx.load(folder / file).metadata_props}
    return ModelCard.model_validate_json(properties[METADATA_KEY])


def without_hashes(card: ModelCard) -> ModelCard:
    half = card.half and card.half.model_copy(update={"sha256": None})
    return card.model_copy(update={"sha256": None, "half": half})


def answers(folder: Path, rows: np.ndarray) -> np.ndarray:
    """Of the service."""
    return CpuSession(folder, read_card(folder), threads=1, max_items=64, images=1).run(Slot(0), rows, alone=True)


# what is published


def test_a_version_is_a_model_and_its_card_and_of_a_translation_the_same_in_half_precision(published: Path) -> None:
    files = {str(path.relative_to(published)) for path in published.rglob("*") if path.is_file()}
    names = ("mnist", "horse2zebra", "zebra2horse")
    halves = {f"{name}/1/{HALF_FILE}" for name in names[1:]}
    assert files == {f"{name}/1/{file}" for name in names for file in (MODEL_FILE, CARD_FILE)} | halves


def test_the_card_of_a_sampler_tells_where_it_comes_from(published: Path) -> None:
    card = read_card(published / "mnist" / "1")
    assert (card.task, card.latent, card.size, card.direction, card.scores) == ("sample", 4, None, None, ())
    assert (card.input.name, card.input.shape, card.output.name) == ("z", ("N", 4), "digits")
    assert (card.training.images, card.training.git_commit, card.training.torch) == (5000, "c" * 40, "2.14.1")
    assert card.training.dataset == {"name": "drawn here", "sha256": "d" * 64}
    assert card.export_git_commit == provenance.git_commit()


def test_the_card_of_a_translator_tells_direction_and_sizes(published: Path) -> None:
    card = read_card(published / "zebra2horse" / "1")
    assert (card.task, card.direction, card.preset, card.latent) == ("translate", "zebra2horse", "toy", None)
    assert (card.input.shape, card.size) == (("N", "H", "W", 3), SizeRule(multiple=4, minimum=16))


def test_the_card_has_the_settings_but_no_paths_of_the_fit(published: Path) -> None:
    config = read_card(published / "mnist" / "1").training.config
    assert config == {"seed": 0, "latent": 4, "width": 2, "conditional": False, "stacked": False, "clusters": 3}


def test_each_card_tells_of_the_runs_that_its_network_came_through(
    tmp_path: Path, cyclegan_state: dict[str, Any]
) -> None:
    config = {
        "rate": 1e-4,
        "out": "/home/me/runs",
        "extrapolate_from": "/home/me/old.onnx",
        "weights": "/home/me/weights",
    }
    history = [{"images": n, "config": config, "networks": of} for n, of in ((1, ["F", "G"]), (2, ["G"]), (3, ["F"]))]
    source = checkpoint.write(
        tmp_path / "run", {**cyclegan_state, "history": [*history, {"images": 4, "config": config}]}
    )
    g, f = (read_card(folder).training.history for folder in publish(source, tmp_path / "models"))
    assert g == tuple({"images": n, "config": {"rate": 1e-4}} for n in (1, 2, 4))
    assert [run["images"] for run in f] == [1, 3, 4]


def test_the_card_tells_what_parity_was_found_on_which_inputs(published: Path) -> None:
    parity = read_card(published / "horse2zebra" / "1").parity
    assert parity.checked == ("1x256x256x3", "3x128x96x3", "8x64x64x3")
    assert parity.max_difference <= parity.tolerance == 1


@pytest.mark.parametrize("name", ["mnist", "horse2zebra", "zebra2horse"])
def test_the_card_has_the_hash_of_the_file_and_the_file_the_rest_of_the_card(published: Path, name: str) -> None:
    folder = published / name / "1"
    card = ModelCard.model_validate_json((folder / CARD_FILE).read_bytes())
    assert card.sha256 == sha256_of(folder / MODEL_FILE)
    assert embedded_card(folder) == without_hashes(card)
    if card.half:
        assert card.half.sha256 == sha256_of(folder / HALF_FILE)
        assert embedded_card(folder, HALF_FILE) == without_hashes(card)


def test_the_service_gets_pytorchs_digits(published: Path, gan_state: dict[str, Any]) -> None:
    folder = published / "mnist" / "1"
    seeds = np.arange(50, dtype=np.uint64)
    served = answers(folder, seeds[:, None])
    expected = exportables(gan_state)[0].graph(torch.from_numpy(latents(seeds, 4))).numpy()
    assert np.abs(served.astype(int) - expected).max() <= 1
    assert expected.std() > 0


def test_the_service_gets_pytorchs_translation(published: Path, cyclegan_state: dict[str, Any]) -> None:
    folder = published / "horse2zebra" / "1"
    dice = torch.Generator().manual_seed(9)
    image = torch.randint(0, 256, (2, 32, 96, 3), dtype=torch.uint8, generator=dice)
    served = answers(folder, image.numpy())
    expected = exportables(cyclegan_state)[0].graph(image).numpy()
    assert np.abs(served.astype(int) - expected).max() <= 1
    assert expected.std() > 0


def test_a_generator_of_other_sizes_is_published(tmp_path: Path, cyclegan_state: dict[str, Any]) -> None:
    network = cyclegan.Generator(6, 2)
    torch.nn.init.constant_(network.layers[-2].bias, 0.1)
    config = {**cyclegan_state["config"], "filters": 6, "blocks": 2}
    averages = {name: network.state_dict() for name in "GF"}
    source = checkpoint.write(tmp_path / "run", {**cyclegan_state, "config": config, "averages": averages})
    folder = publish(source, tmp_path / "models")[0]
    card = read_card(folder)
    assert card.parity.max_difference <= 1
    assert (card.training.config["filters"], card.training.config["blocks"]) == (6, 2)
    network.load_state_dict(translators.read(folder / MODEL_FILE)["networks"]["G"])  # and can be gone on from


def test_a_distilled_generator_is_published_with_its_teachers_hash(
    tmp_path: Path, cyclegan_state: dict[str, Any]
) -> None:
    taught = {
        "task": "distil",
        "config": {**cyclegan_state["config"], "teacher": "/home/me/runs/teacher"},
        "dataset": {**cyclegan_state["dataset"], "teacher": {"sha256": "e" * 64}},
    }
    source = checkpoint.write(tmp_path / "run", {**cyclegan_state, **taught})
    training = read_card(publish(source, tmp_path / "models")[0]).training
    assert training.dataset["teacher"] == {"sha256": "e" * 64}
    assert "/home/me" not in training.model_dump_json()


def test_a_run_folder_stands_for_its_newest_checkpoint(
    tmp_path: Path, gan_checkpoint: Path, gan_state: dict[str, Any]
) -> None:
    run = tmp_path / "run"
    checkpoint.write(run, {**gan_state, "images": 100})
    checkpoint.write(run, {**gan_state, "images": 200})
    (folder,) = publish(run, tmp_path / "models")
    assert read_card(folder).training.images == 200


# half precision


def test_the_card_tells_how_far_half_precision_strays_on_which_inputs(published: Path) -> None:
    half = read_card(published / "horse2zebra" / "1").half
    assert half is not None
    assert (half.file, half.precision, half.parity.checked) == (
        HALF_FILE,
        "fp16",
        ("1x256x256x3", "3x128x96x3", "8x64x64x3"),
    )
    assert 0 < half.parity.mean_difference <= half.parity.mean_tolerance == 0.5
    assert 0 < half.parity.max_difference <= half.parity.max_tolerance == 8


def test_half_precision_answers_almost_what_pytorch_does(published: Path, cyclegan_state: dict[str, Any]) -> None:
    session = ort.InferenceSession(published / "horse2zebra" / "1" / HALF_FILE, providers=["CPUExecutionProvider"])
    dice = torch.Generator().manual_seed(9)
    image = torch.randint(0, 256, (2, 32, 96, 3), dtype=torch.uint8, generator=dice)
    (answer,) = session.run(None, {"image": image.numpy()})
    expected = exportables(cyclegan_state)[0].graph(image).numpy()
    assert answer.dtype == np.uint8
    assert np.abs(answer.astype(int) - expected).max() <= 2
    assert expected.std() > 0


def test_a_sampler_has_no_half_precision(published: Path) -> None:
    assert read_card(published / "mnist" / "1").half is None


@pytest.mark.usefixtures("published", "overflow")
def test_half_precision_that_fails_its_check_is_left_out_and_said(
    tmp_path: Path, cyclegan_checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folders = publish(cyclegan_checkpoint, tmp_path)
    for folder in folders:
        assert {path.name for path in folder.iterdir()} == {MODEL_FILE, CARD_FILE}
        assert read_card(folder).half is None
        assert embedded_card(folder).half is None
    said = [record.getMessage() for record in caplog.records if record.name == "export"]
    assert [text.partition(":")[0] for text in said] == ["horse2zebra", "zebra2horse"]
    for text in said:
        assert re.search(r"differ by [\d.]+ grey levels on average and up to \d+ \(at most 0.5 and 8", text)
        assert text.endswith("no model.fp16.onnx published")


# names and versions


def test_versions_count_up(tmp_path: Path, gan_checkpoint: Path) -> None:
    assert publish(gan_checkpoint, tmp_path) == [tmp_path / "mnist" / "1"]
    assert publish(gan_checkpoint, tmp_path) == [tmp_path / "mnist" / "2"]


def test_versions_count_from_the_highest_number(tmp_path: Path, gan_checkpoint: Path) -> None:
    for there in ("9", "10", "beta"):
        (tmp_path / "mnist" / there).mkdir(parents=True)
    assert publish(gan_checkpoint, tmp_path) == [tmp_path / "mnist" / "11"]


def test_both_directions_get_one_version(tmp_path: Path, cyclegan_checkpoint: Path) -> None:
    """By which they find each other."""
    for there in ("horse2zebra/2", "zebra2horse/3"):
        (tmp_path / there).mkdir(parents=True)
    assert publish(cyclegan_checkpoint, tmp_path) == [tmp_path / "horse2zebra" / "4", tmp_path / "zebra2horse" / "4"]


def test_a_generator_that_stood_still_is_not_published(tmp_path: Path, cyclegan_state: dict[str, Any]) -> None:
    (tmp_path / "models" / "horse2zebra" / "7").mkdir(parents=True)
    state = {**cyclegan_state, "config": {**cyclegan_state["config"], "only": "F"}}
    state["history"] = [
        {"images": 5, "config": {}},
        {"images": 6, "config": {"only": "G"}, "networks": ["D_Y", "G"]},
        {"images": 7, "config": {"only": "F"}, "networks": ["D_X", "F"]},
    ]
    (folder,) = publish(checkpoint.write(tmp_path / "run", state), tmp_path / "models")
    assert folder == tmp_path / "models" / "zebra2horse" / "8"  # both directions share their numbers
    training = read_card(folder).training
    assert training.config["only"] == "F"
    assert [earlier["images"] for earlier in training.history] == [5, 7]


def test_what_names_another_network_as_the_one_that_learnt_is_refused(
    tmp_path: Path, cyclegan_state: dict[str, Any]
) -> None:
    state = {**cyclegan_state, "config": {**cyclegan_state["config"], "only": "H"}}
    with pytest.raises(CheckpointError, match="only 'H' learn"):
        publish(checkpoint.write(tmp_path / "run", state), tmp_path / "models")


def test_a_version_can_be_named(tmp_path: Path, gan_checkpoint: Path) -> None:
    (folder,) = publish(gan_checkpoint, tmp_path, version="beta")
    assert folder == tmp_path / "mnist" / "beta"
    assert read_card(folder).version == "beta"


def test_a_version_that_exists_is_refused_and_stays(folder: Path, gan_checkpoint: Path) -> None:
    before = (folder / MODEL_FILE).read_bytes()
    with pytest.raises(PublishError, match="already published"):
        publish(gan_checkpoint, folder.parents[1], version="1")
    assert (folder / MODEL_FILE).read_bytes() == before


def test_both_directions_are_published_or_none(tmp_path: Path, cyclegan_checkpoint: Path) -> None:
    (tmp_path / "zebra2horse" / "5").mkdir(parents=True)
    with pytest.raises(PublishError, match="zebra2horse"):
        publish(cyclegan_checkpoint, tmp_path, version="5")
    assert not (tmp_path / "horse2zebra").exists()


def test_the_suffix_names_a_variant(tmp_path: Path, cyclegan_checkpoint: Path) -> None:
    folders = publish(cyclegan_checkpoint, tmp_path, suffix="-reference")
    assert [str(folder.relative_to(tmp_path)) for folder in folders] == [
        "horse2zebra-reference/1",
        "zebra2horse-reference/1",
    ]
    assert read_card(folders[1]).direction == "zebra2horse"


def test_publishing_leaves_nothing_else_behind(tmp_path: Path, gan_checkpoint: Path) -> None:
    publish(gan_checkpoint, tmp_path)
    assert [path.name for path in (tmp_path / "mnist").iterdir()] == ["1"]


# what is refused


@pytest.mark.usefixtures("published")
def test_altered_weights_are_not_published(tmp_path: Path, gan_checkpoint: Path, alter: Callable[[int], None]) -> None:
    alter(1)
    with pytest.raises(ParityError, match="not published"):
        publish(gan_checkpoint, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("published")
def test_one_altered_direction_keeps_both_from_being_published(
    tmp_path: Path, cyclegan_checkpoint: Path, alter: Callable[[int], None]
) -> None:
    alter(2)
    with pytest.raises(ParityError, match="not published"):
        publish(cyclegan_checkpoint, tmp_path)
    assert list(tmp_path.iterdir()) == []


def copy_of(path: Path, folder: Path) -> Path:
    """The checkpoint and its hash file, elsewhere."""
    for file in (path, path.with_suffix(".pt.sha256")):
        shutil.copy(file, folder)
    return folder / path.name


def test_a_truncated_checkpoint_is_refused(tmp_path: Path, gan_checkpoint: Path) -> None:
    path = copy_of(gan_checkpoint, tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="truncated or altered"):
        publish(path, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_a_checkpoint_without_its_hash_is_refused(tmp_path: Path, gan_checkpoint: Path) -> None:
    path = copy_of(gan_checkpoint, tmp_path)
    path.with_suffix(".pt.sha256").unlink()
    with pytest.raises(CheckpointError, match="sha256 beside it"):
        publish(path, tmp_path / "models")


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save(torch.nn.Linear(2, 2), path)  # a pickled module, which reading would have to run
    path.with_suffix(".pt.sha256").write_text(f"{sha256_of(path)}  {path.name}\n")
    with pytest.raises(CheckpointError, match="not a checkpoint of this project"):
        publish(path, tmp_path / "models")


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"task": "classifier"}, "task 'classifier'"), ({"averages": {"generator": {}}}, "do not fit")],
)
def test_a_checkpoint_of_something_else_is_refused(
    tmp_path: Path, gan_state: dict[str, Any], change: dict[str, Any], reason: str
) -> None:
    path = checkpoint.write(tmp_path / "run", {**gan_state, **change})
    with pytest.raises(CheckpointError, match=reason):
        publish(path, tmp_path / "models")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("missing", ["images", "dataset", "provenance", "history"])
def test_a_checkpoint_that_does_not_say_where_it_is_from_is_refused(
    tmp_path: Path, gan_state: dict[str, Any], missing: str
) -> None:
    state = {**gan_state, "images": 5}
    path = checkpoint.write(tmp_path / "run", state)
    torch.save({"format": checkpoint.FORMAT, **{k: v for k, v in state.items() if k != missing}}, path)
    path.with_suffix(".pt.sha256").write_text(f"{sha256_of(path)}  {path.name}\n")
    with pytest.raises(CheckpointError, match=f"lacks {missing}"):
        publish(path, tmp_path / "models")


# scores


@pytest.fixture
def report(folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """`report(scores=SCORES)`: scores of the sampler, as gan-train evaluate writes them."""

    def write(scores: tuple[Score, ...] = SCORES) -> Path:
        sha256 = graph_sha256(onnx.load(folder / MODEL_FILE))
        content = {"model": "mnist", "graph_sha256": sha256, "scores": [s.model_dump() for s in scores]}
        path = tmp_path / "report.json"
        path.write_text(json.dumps(content))
        return path

    return write


def test_scores_change_the_card_and_the_file(folder: Path, report: Callable[..., Path]) -> None:
    before = read_card(folder)
    card = attach_scores(folder, report())
    assert card == read_card(folder)
    assert card.scores == embedded_card(folder).scores == SCORES
    assert card.sha256 != before.sha256
    assert card.model_copy(update={"scores": (), "sha256": None}) == before.model_copy(update={"sha256": None})


def test_scores_leave_the_graph_as_it_was(folder: Path, report: Callable[..., Path]) -> None:
    seeds = np.arange(5, dtype=np.uint64)[:, None]
    before = onnx.load(folder / MODEL_FILE).graph.SerializeToString(deterministic=True)
    digits = answers(folder, seeds)
    attach_scores(folder, report())
    assert onnx.load(folder / MODEL_FILE).graph.SerializeToString(deterministic=True) == before
    assert (answers(folder, seeds) == digits).all()


def test_scores_replace_those_before(folder: Path, report: Callable[..., Path]) -> None:
    attach_scores(folder, report())
    assert attach_scores(folder, report(())).scores == ()


def test_scores_leave_nothing_else_behind(folder: Path, report: Callable[..., Path]) -> None:
    attach_scores(folder, report())
    assert [path.name for path in folder.parent.iterdir()] == ["1"]
    assert {path.name for path in folder.iterdir()} == {CARD_FILE, MODEL_FILE}


def test_scores_of_an_altered_model_are_refused(folder: Path, report: Callable[..., Path]) -> None:
    ours = report()
    (folder / MODEL_FILE).write_bytes(b"altered")
    with pytest.raises(CardError, match="sha256"):
        attach_scores(folder, ours)


def test_scores_of_another_file_are_refused(
    published: Path, folder: Path, report: Callable[..., Path], tmp_path: Path
) -> None:
    other = shutil.copytree(published / "horse2zebra" / "1", tmp_path / "horse2zebra" / "1")
    with pytest.raises(PublishError, match="another file"):
        attach_scores(other, report())
    assert read_card(other).scores == ()


def test_attached_scores_do_not_make_it_another_file(folder: Path, report: Callable[..., Path]) -> None:
    ours = report()
    attach_scores(folder, ours)
    assert attach_scores(folder, ours).scores == SCORES


def test_scores_reach_the_half_precision_file_too(published: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(published / "horse2zebra" / "1", tmp_path / "horse2zebra" / "1")
    graphs = [onnx.load(folder / file).graph.SerializeToString(deterministic=True) for file in (MODEL_FILE, HALF_FILE)]
    content = {"graph_sha256": graph_sha256(onnx.load(folder / MODEL_FILE)), "scores": [SCORES[0].model_dump()]}
    (tmp_path / "report.json").write_text(json.dumps(content))
    card = attach_scores(folder, tmp_path / "report.json")
    assert card == read_card(folder)
    assert embedded_card(folder, HALF_FILE) == without_hashes(card)
    assert embedded_card(folder, HALF_FILE).scores == SCORES
    assert graphs == [
        onnx.load(folder / file).graph.SerializeToString(deterministic=True) for file in (MODEL_FILE, HALF_FILE)
    ]


# labels


def test_a_sampler_with_labels_takes_them_as_its_second_input(
    tmp_path: Path, conditional_state: dict[str, Any]
) -> None:
    checkpoint.write(tmp_path / "run", conditional_state)
    (folder,) = publish(tmp_path / "run", tmp_path / "models")
    card = read_card(folder)
    assert (card.name, card.latent) == ("mnist-conditional", 4)
    assert card.label is not None
    assert (card.label.name, card.label.type, card.label.shape) == ("label", "int64", ("N",))
    graph = onnx.load(folder / MODEL_FILE).graph
    assert [value.name for value in graph.input] == ["z", "label"]
    assert graph.input[1].type.tensor_type.shape.dim[0].dim_param == "N"

    seeds, labels = np.arange(7, dtype=np.uint64), torch.tensor([0, 9, 3, 3, 1, 8, 5])
    rows = np.column_stack([seeds, labels.numpy().astype(np.uint64)])
    served = answers(folder, rows)
    expected = exportables(conditional_state)[0].graph(torch.from_numpy(latents(seeds, 4)), labels).numpy()
    assert np.abs(served.astype(int) - expected).max() <= 1
    assert (served[2] != answers(folder, rows[2:3] + np.array([0, 1], np.uint64))[0]).any()


# tiles


def test_the_card_has_no_receptive_radius_with_norms(published: Path) -> None:
    size = read_card(published / "horse2zebra" / "1").size
    assert size is not None
    assert size.receptive_radius is None


def test_a_model_without_norms_makes_the_same_image_of_tiles(
    tmp_path: Path, cyclegan_state: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = cyclegan.Generator(4, 1, "none")
    config = {**cyclegan_state["config"], "generator_norm": "none", "only": "G"}
    averages = {"G": network.state_dict(), "F": network.state_dict()}
    state = {**cyclegan_state, "config": config, "averages": averages}
    (folder,) = publish(checkpoint.write(tmp_path / "run", state), tmp_path / "models")
    card = read_card(folder)
    assert card.size == SizeRule(multiple=4, minimum=16, receptive_radius=cyclegan.receptive_radius(network))
    monkeypatch.setattr(tiles, "TILE_SIDE", 128)
    image = np.random.default_rng(0).integers(0, 256, (1, 300, 204, 3), dtype=np.uint8)
    tiling = tiles.Tiling(image, card.size)
    for row in tiling.rows:
        tiling.put(row, answers(folder, tiling.cut(row)))
    difference = np.abs(tiling.output.astype(int) - answers(folder, image)[0])
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.001
