import pytest
from pydantic import ValidationError

from training.config.cyclegan import CycleGanConfig


def test_a_generator_that_learns_alone_needs_the_other_one():
    with pytest.raises(
        ValidationError, match="--only G needs --init for the other generator, also when the run resumes"
    ):
        CycleGanConfig(only="G")


@pytest.mark.parametrize(
    ("settings", "period"),
    [({}, 1), ({"identity_every": 4}, 4), ({"identity_every": 4, "identity_weight": 0}, 1)],
)
def test_steps_repeat_with_the_identity_losses(settings, period):
    assert CycleGanConfig(**settings).period_steps == period
