from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from service.card import ModelCard
from training import checkpoint, onnx_weights
from training.checkpoint import CheckpointError, ResumeError
from training.generators import CONFIGS
from training.loop import fit
from training.resume import warm_start
from training.tasks.cyclegan import CycleGanTask

MODELS = Path(__file__).resolve().parents[2] / "models"
PAIR = [max(MODELS.glob(f"{way}/*/model.onnx")) for way in ("horse2zebra", "zebra2horse")]
CARDS = sorted(MODELS.glob("*/*/card.json"))
SHAPE: dict[str, Any] = {"filters": 16, "blocks": 6, "generator_norm": "none"}
"""Settings that shape the networks of the bundled translators."""
BuildCycleGan = Callable[..., CycleGanTask]


@pytest.mark.parametrize("path", CARDS, ids=lambda path: "/".join(path.parts[-3:-1]))
def test_this_version_can_build_every_bundled_generator(path: Path) -> None:
    card = ModelCard.model_validate_json(path.read_bytes())
    config = CONFIGS["gan" if card.task == "sample" else "cyclegan"]
    for settings in (card.training.config, *(run["config"] for run in card.training.history)):
        assert config.unknown(settings) == ""


def test_bundled_settings_mention_retired_options() -> None:
    fits = [ModelCard.model_validate_json(path.read_bytes()).training for path in CARDS]
    settings = [*(fit.config for fit in fits), *(run["config"] for fit in fits for run in fit.history)]
    retired = {
        name for config in settings for name in config if not any(name in c.model_fields for c in CONFIGS.values())
    }
    assert retired >= {"stacked", "antialias", "extrapolate", "return_weight", "discriminator_norm"}


@pytest.mark.parametrize(
    "settings", [{}, {"only": "G"}, {"discriminator": "projected"}], ids=lambda settings: "-".join(settings) or "plain"
)
def test_the_bundled_translators_start_a_fit(
    cyclegan_task: BuildCycleGan, tmp_path: Path, settings: dict[str, Any]
) -> None:
    task = cyclegan_task(**SHAPE, init=PAIR, images=4, **settings)
    assert fit(task) == 4
    state, published = checkpoint.read(tmp_path / "cyclegan"), [onnx_weights.read(path) for path in PAIR]
    for name, source in zip("GF", published, strict=True):
        before, after = source["networks"][name], state["networks"][name]
        moved = [not torch.equal(after[key], weights) for key, weights in before.items()]
        assert all(moved) if settings.get("only") in {None, name} else not any(moved)
        own = [run for run in state["history"] if name in run["networks"]]
        assert [run["images"] for run in own] == [run["images"] for run in (*source["history"], source)]


def test_a_published_generator_takes_the_place_of_a_checkpoints(cyclegan_task: BuildCycleGan, tmp_path: Path) -> None:
    fit(cyclegan_task(out=tmp_path / "first", **SHAPE))
    first, published_f = checkpoint.read(tmp_path / "first"), onnx_weights.read(PAIR[1])
    task = cyclegan_task(**SHAPE)
    warm_start(task, [tmp_path / "first", PAIR[1]])
    for part, ours in (("networks", task.networks), ("averages", task.averages)):
        for name, network in ours.items():
            expected = (published_f if name == "F" else first)[part][name]
            assert all(torch.equal(weights, expected[key]) for key, weights in network.state_dict().items()), name
    assert [r["networks"] for r in task.history[:-1]] == [["D_X", "D_Y", "G"], *[["F"]] * (len(task.history) - 2)]
    last = {"images": published_f["images"], "config": published_f["config"], "networks": ["F"]}
    assert task.history[-1] == last


def test_a_source_of_which_nothing_would_be_left_is_refused(cyclegan_task: BuildCycleGan, tmp_path: Path) -> None:
    fit(cyclegan_task(out=tmp_path / "first"))
    fit(cyclegan_task(out=tmp_path / "second", seed=1))
    with pytest.raises(
        ResumeError, match=r"every network of .*first is replaced by a later source of --init: remove it"
    ):
        warm_start(cyclegan_task(), [tmp_path / "first", tmp_path / "second"])


def test_a_checkpoint_that_is_of_no_fit_is_refused(cyclegan_task: BuildCycleGan, tmp_path: Path) -> None:
    checkpoint.write(tmp_path / "classifier", {"images": 4, "network": {}})
    with pytest.raises(ResumeError, match="classifier is of no fit, not cyclegan: choose another --out or --init"):
        warm_start(cyclegan_task(), [tmp_path / "classifier"])


def test_what_stands_still_is_averaged_and_stays(cyclegan_task: BuildCycleGan, tmp_path: Path) -> None:
    fit(cyclegan_task(out=tmp_path / "first", ema_images=10))
    first = checkpoint.read(tmp_path / "first")
    settings = {"only": "G", "init": [tmp_path / "first"]}
    fit(cyclegan_task(**settings, out=tmp_path / "second", images=2))
    fit(cyclegan_task(**settings, out=tmp_path / "second", images=6))  # resumed
    second = checkpoint.read(tmp_path / "second")
    for name, expected in first["averages"]["F"].items():
        assert torch.equal(second["networks"]["F"][name], expected)
        assert torch.equal(second["averages"]["F"][name], expected)
        assert not torch.equal(first["networks"]["F"][name], expected)
        assert not torch.equal(second["averages"]["G"][name], first["averages"]["G"][name])
    assert second["images"] == 6
    fit(cyclegan_task(**settings, out=tmp_path / "uncut", images=6))
    uncut = checkpoint.read(tmp_path / "uncut")
    for name, network in uncut["networks"].items():
        assert all(torch.equal(weights, second["networks"][name][key]) for key, weights in network.items()), name
    with pytest.raises(ResumeError, match="only: G there, F asked for"):
        fit(cyclegan_task(**{**settings, "only": "F"}, out=tmp_path / "second", images=8))


@pytest.mark.parametrize(("given", "lacking"), [(0, "F"), (1, "G")])
def test_one_direction_alone_is_refused(cyclegan_task: BuildCycleGan, given: int, lacking: str) -> None:
    task = cyclegan_task(**SHAPE)
    with pytest.raises(CheckpointError, match=rf"model\.onnx lacks {lacking}: .* both, with a comma between"):
        warm_start(task, [PAIR[given]])


def test_the_same_direction_twice_is_refused(cyclegan_task: BuildCycleGan) -> None:
    with pytest.raises(ResumeError, match=r"every network of .*horse2zebra.* is replaced"):
        warm_start(cyclegan_task(**SHAPE), [PAIR[0], PAIR[0]])
