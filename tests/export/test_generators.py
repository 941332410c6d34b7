from typing import Any

import pytest

from export.generators import exportables
from training.checkpoint import CheckpointError
from training.networks import gan

State = dict[str, Any]


def test_a_gan_has_one_sampler(gan_state: State) -> None:
    (found,) = exportables(gan_state)
    assert (found.name, found.source.latent, found.source.direction) == ("mnist", 4, None)


def test_a_cyclegan_has_a_translation_each_way(cyclegan_state: State) -> None:
    found = exportables(cyclegan_state)
    assert [(f.name, f.source.direction, f.source.preset, f.source.latent) for f in found] == [
        ("horse2zebra", "horse2zebra", "tiny", None),
        ("zebra2horse", "zebra2horse", "tiny", None),
    ]


def test_graphs_are_frozen(gan_state: State) -> None:
    (found,) = exportables(gan_state)
    assert not any(module.training for module in found.graph.modules())
    assert not any(parameter.requires_grad for parameter in found.graph.parameters())


def test_the_suffix_sets_a_variant_apart(gan_state: State, cyclegan_state: State) -> None:
    assert exportables(gan_state, "-wide")[0].name == "mnist-wide"
    found = exportables(cyclegan_state, "-reference")
    assert [(f.name, f.source.direction) for f in found] == [
        ("horse2zebra-reference", "horse2zebra"),
        ("zebra2horse-reference", "zebra2horse"),
    ]


def test_stacked_digits_are_not_exported(gan_state: State) -> None:
    averages = {"generator": gan.Generator(4, 2, channels=3).state_dict()}
    state = {**gan_state, "averages": averages, "config": {**gan_state["config"], "clusters": 0, "stacked": True}}
    with pytest.raises(CheckpointError, match="gan-train evaluate"):
        exportables(state)
