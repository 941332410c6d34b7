import pytest
from pydantic import ValidationError

from training.config import CycleGanConfig


def test_a_crop_larger_than_the_picture_is_refused():
    with pytest.raises(ValidationError, match="crop 256 is larger than resize 143"):
        CycleGanConfig(resize=143)


@pytest.mark.parametrize("crop", [30, 16, 127])
def test_a_crop_that_the_networks_cannot_take_is_refused(crop):
    with pytest.raises(ValidationError, match="crop"):
        CycleGanConfig(crop=crop)
