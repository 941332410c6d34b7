import pytest
import torch

from training.metrics.change import mean_change

BLACK = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)


def test_it_counts_grey_levels_either_way() -> None:
    other = BLACK.clone()
    other[0] = 200
    assert mean_change(BLACK, other) == mean_change(other, BLACK) == 100


def test_weights_choose_the_pixels_over_all_pictures_together() -> None:
    other, weight = BLACK.clone(), torch.zeros(2, 1, 4, 4)
    other[0, :, 0], other[1] = 60, 10
    weight[0, :, 0] = 1  # 4 pixels that changed by 60
    assert mean_change(BLACK, other, weight) == 60
    weight[1, :, 0] = 0.5  # 4 more, that count half
    assert mean_change(BLACK, other, weight) == pytest.approx((4 * 60 + 2 * 10) / 6)


def test_uniform_weights_change_nothing() -> None:
    dice = torch.Generator().manual_seed(0)
    a, b = (torch.randint(256, (3, 3, 8, 8), generator=dice, dtype=torch.uint8) for _ in "ab")
    assert mean_change(a, b, torch.full((3, 1, 8, 8), 0.3)) == pytest.approx(mean_change(a, b))


def test_pictures_of_other_shapes_and_no_weight_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        mean_change(BLACK, BLACK[:1])
    with pytest.raises(ValueError, match="no pixel has any weight"):
        mean_change(BLACK, BLACK, torch.zeros(2, 1, 4, 4))
