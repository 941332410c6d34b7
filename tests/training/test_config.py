import pytest
from pydantic import ValidationError

from training.config.base import CycleGanConfig, GanConfig


def test_a_crop_larger_than_the_picture_is_refused():
    with pytest.raises(ValidationError, match="crop 256 is larger than resize 143"):
        CycleGanConfig(resize=143)


@pytest.mark.parametrize("crop", [30, 16, 127])
def test_a_crop_that_the_networks_cannot_take_is_refused(crop):
    with pytest.raises(ValidationError, match="crop"):
        CycleGanConfig(crop=crop)


def test_conditional_and_stacked_exclude_each_other():
    with pytest.raises(ValidationError, match="choose one of them"):
        GanConfig(conditional=True, stacked=True)


@pytest.mark.parametrize("settings", [{"conditional": True}, {"stacked": True}])
def test_clusters_are_for_plain_digits(settings):
    with pytest.raises(ValidationError, match="--clusters"):
        GanConfig(clusters=8, **settings)


def test_one_cluster_is_none_to_choose_from():
    with pytest.raises(ValidationError, match="2 or more"):
        GanConfig(clusters=1)


def test_digits_start_from_one_checkpoint():
    with pytest.raises(ValidationError, match="at most 1 item"):
        GanConfig(init=["runs/a", "runs/b"])


def test_a_generator_that_learns_alone_needs_the_other_one():
    with pytest.raises(
        ValidationError, match="--only G takes the other generator from --init: name it, resuming as well"
    ):
        CycleGanConfig(only="G")


def test_moving_weights_on_takes_how_far_from_where_and_what():
    for half in ({"extrapolate": 2}, {"extrapolate_from": "model.onnx"}):
        with pytest.raises(ValidationError, match="give both, or neither"):
            CycleGanConfig(only="F", init=["runs/a"], **half)
    with pytest.raises(ValidationError, match="--extrapolate moves one generator: say with --only which one learns"):
        CycleGanConfig(init=["runs/a"], extrapolate=2, extrapolate_from="model.onnx")
    for factor in (1, float("inf"), float("nan")):
        with pytest.raises(ValidationError, match=r"greater than 1|finite"):
            CycleGanConfig(only="F", init=["runs/a"], extrapolate=factor, extrapolate_from="model.onnx")


def test_bringing_back_has_a_weight_of_its_own_only_where_one_generator_learns():
    with pytest.raises(ValidationError, match="--return-weight is for --only; where both learn, --cycle-weight"):
        CycleGanConfig(return_weight=1)
