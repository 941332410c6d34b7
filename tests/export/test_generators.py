from typing import Any

from export.generators import exportables

State = dict[str, Any]


def test_a_gan_has_one_sampler(gan_state: State) -> None:
    (found,) = exportables(gan_state)
    assert (found.name, found.source.latent, found.source.direction) == ("mnist", 4, None)


def test_a_cyclegan_has_a_translation_each_way(cyclegan_state: State) -> None:
    found = exportables(cyclegan_state)
    assert [(f.name, f.source.direction, f.source.preset, f.source.latent) for f in found] == [
        ("horse2zebra", "horse2zebra", "toy", None),
        ("zebra2horse", "zebra2horse", "toy", None),
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
