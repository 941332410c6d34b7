from collections.abc import Callable
from typing import Any

import pytest
import torch

from training.checkpoint import CheckpointError
from training.generators import directions, finished_generators
from training.loop import describe
from training.tasks.base import Task

State = dict[str, Any]


def state_of(task: Task) -> State:
    """What the loop saves of a task."""
    return {"task": task.name, "images": 0, **describe(task), **task.state()}


@pytest.fixture
def gan_state(gan_task: Callable[..., Task]) -> State:
    return state_of(gan_task())


@pytest.fixture
def cyclegan_state(cyclegan_task: Callable[..., Task]) -> State:
    return state_of(cyclegan_task())


@pytest.mark.parametrize(
    ("settings", "name", "shape"),
    [
        ({}, "mnist", (3, 1, 28, 28)),
        ({"conditional": True}, "mnist-conditional", (3, 1, 28, 28)),
        ({"regulariser": "spectral"}, "mnist", (3, 1, 28, 28)),
    ],
)
def test_a_gan_has_one_sampler(
    gan_task: Callable[..., Task], settings: State, name: str, shape: tuple[int, ...]
) -> None:
    task = gan_task(**settings)
    (found,) = finished_generators(state_of(task))
    assert (found.name, found.latent, found.direction, found.preset) == (name, 4, None, None)
    assert found.conditional == ("conditional" in settings)
    z, labels = torch.randn(3, 4), [torch.tensor([0, 5, 9])] if found.conditional else []
    made = found.network(z, *labels)
    assert made.shape == shape
    assert torch.equal(made, task.averages["generator"](z, *labels))


def test_a_cyclegan_has_a_translation_each_way(cyclegan_task: Callable[..., Task]) -> None:
    task, x = cyclegan_task(), torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        next(task.averages["F"].parameters()).add_(0.1)
    found = finished_generators(state_of(task))
    assert [(f.name, f.direction, f.preset, f.latent) for f in found] == [
        ("horse2zebra", "horse2zebra", "compact", None),
        ("zebra2horse", "zebra2horse", "compact", None),
    ]
    for one, key in zip(found, "GF", strict=True):
        assert torch.equal(one.network(x), task.averages[key](x))


def test_the_sizes_of_a_translation_are_read_from_its_settings(cyclegan_task: Callable[..., Task]) -> None:
    task, x = cyclegan_task(filters=6, blocks=2), torch.randn(1, 3, 32, 32)
    for one, key in zip(finished_generators(state_of(task)), "GF", strict=True):
        assert torch.equal(one.network(x), task.averages[key](x))


def test_projected_discriminators_do_not_change_the_generators(cyclegan_task: Callable[..., Task]) -> None:
    task, x = cyclegan_task(discriminator="projected"), torch.randn(1, 3, 32, 32)
    for one, key in zip(finished_generators(state_of(task)), "GF", strict=True):
        assert torch.equal(one.network(x), task.averages[key](x))


def test_a_checkpoint_older_than_the_sizes_has_the_presets(cyclegan_state: State) -> None:
    newer = {"filters", "blocks"}
    config = {k: v for k, v in cyclegan_state["config"].items() if k not in newer}
    assert len(finished_generators({**cyclegan_state, "config": config})) == 2


def test_settings_that_are_not_known_any_more_are_refused(cyclegan_state: State) -> None:
    def with_attention(value: bool) -> State:
        return {**cyclegan_state, "config": {**cyclegan_state["config"], "attention": value}}

    assert len(finished_generators(with_attention(False))) == 2
    with pytest.raises(CheckpointError, match="fitted with attention, which this version does not know"):
        finished_generators(with_attention(True))


def test_the_pair_names_the_directions(cyclegan_state: State) -> None:
    config = {**cyclegan_state["config"], "pair": "apple2orange"}
    found = finished_generators({**cyclegan_state, "config": config})
    assert [f.name for f in found] == ["apple2orange", "orange2apple"]


def test_the_averaged_weights_are_taken(gan_task: Callable[..., Task]) -> None:
    task = gan_task()
    with torch.no_grad():
        for parameter in task.averages["generator"].parameters():
            parameter.add_(1)
    weights = finished_generators(state_of(task))[0].network.state_dict()
    assert all(torch.equal(weights[n], value) for n, value in task.averages["generator"].state_dict().items())


def test_networks_are_frozen(gan_state: State) -> None:
    (found,) = finished_generators(gan_state)
    assert not any(module.training for module in found.network.modules())
    assert not any(parameter.requires_grad for parameter in found.network.parameters())


@pytest.mark.parametrize("task", ["classifier", "", None])
def test_another_task_is_refused_by_name(gan_state: State, task: object) -> None:
    with pytest.raises(CheckpointError, match=f"task {task!r}: only gan, cyclegan and distil"):
        finished_generators({**gan_state, "task": task})


@pytest.mark.parametrize("missing", ["task", "config", "averages"])
def test_a_checkpoint_without_a_part_is_refused(gan_state: State, missing: str) -> None:
    with pytest.raises(CheckpointError, match=f"lacks '{missing}'"):
        finished_generators({name: value for name, value in gan_state.items() if name != missing})


@pytest.mark.parametrize("setting", ["latent", "width"])
def test_weights_of_another_shape_are_refused(gan_state: State, setting: str) -> None:
    with pytest.raises(CheckpointError, match=r"do not fit the network .* size mismatch"):
        finished_generators({**gan_state, "config": {**gan_state["config"], setting: 3}})


def test_weights_of_another_network_are_refused(gan_state: State, cyclegan_state: State) -> None:
    with pytest.raises(CheckpointError, match="do not fit"):
        finished_generators({**gan_state, "averages": {"generator": cyclegan_state["averages"]["G"]}})


def test_an_unknown_preset_is_refused(cyclegan_state: State) -> None:
    with pytest.raises(CheckpointError, match="huge"):
        finished_generators({**cyclegan_state, "config": {**cyclegan_state["config"], "preset": "huge"}})


@pytest.mark.parametrize("pair", ["horses", "2", "horse2", "2zebra", ""])
def test_a_pair_without_two_words_is_refused(pair: str) -> None:
    with pytest.raises(CheckpointError, match="horse2zebra"):
        directions(pair)
