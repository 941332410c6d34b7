import torch
from torch import Tensor

from training.metrics.blots import has_blot


def field(*, spot: bool = True, blue: bool = True, orange: bool = True) -> Tensor:
    """A grey image (1, 3, 64, 64) with a black spot at its centre that has a blue left and an orange right rim."""
    image = torch.full((1, 3, 64, 64), 150, dtype=torch.uint8)
    if spot:
        image[..., 28:36, 28:36] = 0
    if blue:
        image[0, :, 28:36, 25:28] = torch.tensor([20, 60, 200], dtype=torch.uint8)[:, None, None]
    if orange:
        image[0, :, 28:36, 36:39] = torch.tensor([230, 130, 20], dtype=torch.uint8)[:, None, None]
    return image


def test_a_black_spot_between_blue_and_orange_is_a_blot() -> None:
    assert has_blot(field()).tolist() == [True]


def test_a_spot_without_one_of_its_rims_or_a_rim_without_a_spot_is_none() -> None:
    for missing in ("spot", "blue", "orange"):
        assert has_blot(field(**{missing: False})).tolist() == [False], missing


def test_each_image_is_judged_alone() -> None:
    assert has_blot(torch.cat([field(), field(spot=False), field()])).tolist() == [True, False, True]


def test_what_the_source_has_at_that_place_is_no_blot() -> None:
    moved = torch.roll(field(), 20, dims=3)
    assert has_blot(field(), field()).tolist() == [False]
    assert has_blot(field(), moved).tolist() == [True]
