from typing import Any

import pytest
import torch

from export.generators import directions, generators_of
from training.checkpoint import CheckpointError
from training.networks import cyclegan

State = dict[str, Any]


def test_a_gan_has_one_sampler(gan_state: State) -> None:
    (found,) = generators_of(gan_state)
    assert (found.name, found.latent, found.direction, found.preset) == ("mnist", 4, None, None)


def test_a_cyclegan_has_a_translation_each_way(cyclegan_state: State) -> None:
    found = generators_of(cyclegan_state)
    assert [(f.name, f.direction, f.preset, f.latent) for f in found] == [
        ("horse2zebra", "horse2zebra", "tiny", None),
        ("zebra2horse", "zebra2horse", "tiny", None),
    ]


def test_the_pair_names_the_directions(cyclegan_state: State) -> None:
    config = {**cyclegan_state["config"], "pair": "apple2orange"}
    assert [f.name for f in generators_of({**cyclegan_state, "config": config})] == ["apple2orange", "orange2apple"]


def test_g_translates_forth_and_f_back(cyclegan_state: State) -> None:
    networks = {"G": cyclegan.Generator(4, 1), "F": cyclegan.Generator(4, 1)}
    averages = {name: network.state_dict() for name, network in networks.items()}
    forth, back = generators_of({**cyclegan_state, "averages": averages})
    for found, network in ((forth, networks["G"]), (back, networks["F"])):
        assert torch.equal(found.graph.generator.layers[1].weight, network.layers[1].weight)


def test_the_averaged_weights_are_taken(gan_state: State) -> None:
    (found,) = generators_of(gan_state)
    weights = found.graph.generator.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in gan_state["averages"]["generator"].items())


def test_graphs_are_frozen(gan_state: State) -> None:
    (found,) = generators_of(gan_state)
    assert not any(module.training for module in found.graph.modules())
    assert not any(parameter.requires_grad for parameter in found.graph.parameters())


def test_the_suffix_sets_a_variant_apart(gan_state: State, cyclegan_state: State) -> None:
    assert generators_of(gan_state, "-wide")[0].name == "mnist-wide"
    found = generators_of(cyclegan_state, "-reference")
    assert [(f.name, f.direction) for f in found] == [
        ("horse2zebra-reference", "horse2zebra"),
        ("zebra2horse-reference", "zebra2horse"),
    ]


@pytest.mark.parametrize("task", ["classifier", "", None])
def test_another_task_is_refused_by_name(gan_state: State, task: object) -> None:
    with pytest.raises(CheckpointError, match=f"task {task!r}: only gan and cyclegan"):
        generators_of({**gan_state, "task": task})


@pytest.mark.parametrize("missing", ["task", "config", "averages"])
def test_a_checkpoint_without_a_part_is_refused(gan_state: State, missing: str) -> None:
    with pytest.raises(CheckpointError, match=f"lacks '{missing}'"):
        generators_of({name: value for name, value in gan_state.items() if name != missing})


@pytest.mark.parametrize("setting", ["latent", "width"])
def test_weights_of_another_shape_are_refused(gan_state: State, setting: str) -> None:
    with pytest.raises(CheckpointError, match=r"do not fit the network .* size mismatch"):
        generators_of({**gan_state, "config": {**gan_state["config"], setting: 3}})


def test_weights_of_another_network_are_refused(gan_state: State, cyclegan_state: State) -> None:
    with pytest.raises(CheckpointError, match="do not fit"):
        generators_of({**gan_state, "averages": {"generator": cyclegan_state["averages"]["G"]}})


def test_an_unknown_preset_is_refused(cyclegan_state: State) -> None:
    with pytest.raises(CheckpointError, match="huge"):
        generators_of({**cyclegan_state, "config": {**cyclegan_state["config"], "preset": "huge"}})


@pytest.mark.parametrize("pair", ["horses", "2", "horse2", "2zebra", ""])
def test_a_pair_without_two_words_is_refused(pair: str) -> None:
    with pytest.raises(CheckpointError, match="horse2zebra"):
        directions(pair)
