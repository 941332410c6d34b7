import pytest
from pydantic import ValidationError

from training.config.cyclegan import CycleGanConfig
from training.config.distil import DistilConfig
from training.config.pair import PROJECTED_DEFAULTS


def test_a_crop_larger_than_the_image_is_refused():
    with pytest.raises(ValidationError, match="--crop 256 is larger than --resize 143"):
        CycleGanConfig(resize=143)


@pytest.mark.parametrize("crop", [30, 16, 127])
def test_a_crop_that_the_networks_cannot_take_is_refused(crop):
    with pytest.raises(ValidationError, match="crop"):
        CycleGanConfig(crop=crop)


def test_projected_discriminators_need_a_crop_that_their_strides_divide():
    assert CycleGanConfig(discriminator="projected", crop=192).crop == 192
    with pytest.raises(ValidationError, match="multiple of 32, got 180"):
        CycleGanConfig(discriminator="projected", crop=180)


@pytest.mark.parametrize("config", [CycleGanConfig, DistilConfig])
def test_projected_discriminators_change_the_defaults(config):
    needed = {"teacher": ["runs/teacher"]} if config is DistilConfig else {}
    plain, projected = config(**needed), config(discriminator="projected", **needed)
    changed = {name for name, value in projected if value != getattr(plain, name)}
    assert changed == {"discriminator", *PROJECTED_DEFAULTS}
    assert {name: getattr(projected, name) for name in PROJECTED_DEFAULTS} == {
        "adversarial": "hinge",
        "rate": 1e-4,
        "discriminator_rate": 4e-4,
        "warmup_images": 100,
        "augment": True,
        "pool": 0,
        "ema_images": 300,
    }


@pytest.mark.parametrize("option", PROJECTED_DEFAULTS)
def test_an_explicit_option_overrides_the_default_of_projected_discriminators(option):
    explicit = CycleGanConfig.model_fields[option].default
    assert explicit != PROJECTED_DEFAULTS[option]
    config = CycleGanConfig(discriminator="projected", **{option: explicit})
    assert getattr(config, option) == explicit
    others = {name: value for name, value in PROJECTED_DEFAULTS.items() if name != option}
    assert {name: getattr(config, name) for name in others} == others


@pytest.mark.parametrize(
    "retired",
    [
        "antialias",
        "discriminator_filters",
        "discriminator_norm",
        "extrapolate",
        "r1_every",
        "r1_weight",
        "return_weight",
    ],
)
def test_retired_options_are_gone(retired):
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        CycleGanConfig(**{retired: 1})


def test_only_retired_settings_that_shaped_the_generator_are_unknown():
    history = {
        "antialias": "discriminators",
        "attention": False,
        "discriminator_norm": "spectral",
        "extrapolate": 2.0,
        "r1_weight": 0.1,
        "r1_every": 16,
        "augment": ["cutout"],
    }
    assert CycleGanConfig.unknown(history) == ""
    assert CycleGanConfig.unknown({**history, "antialias": "all", "residual": True}) == "antialias, residual"
