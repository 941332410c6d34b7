import pytest
import torch

from training.metrics.bootstrap import bootstrap_interval
from training.metrics.frechet import frechet_distance


def mean_difference(a, b):
    return float(a.mean() - b.mean())


def test_the_interval_of_a_mean_is_as_wide_as_theory_says():
    dice = torch.Generator().manual_seed(0)
    a, b = torch.randn(400, generator=dice), torch.randn(100, generator=dice)
    low, high = bootstrap_interval(mean_difference, a, b, draws=500)
    assert (low + high) / 2 == pytest.approx(mean_difference(a, b))
    assert high - low == pytest.approx(2 * 1.96 * (float(a.var()) / 400 + float(b.var()) / 100) ** 0.5, rel=0.15)


def test_it_holds_the_value_of_a_distance_that_redrawing_makes_larger():
    dice = torch.Generator().manual_seed(0)
    a, b = torch.randn(50, 20, generator=dice), torch.randn(50, 20, generator=dice)
    low, high = bootstrap_interval(frechet_distance, a, b, draws=30)
    assert low < frechet_distance(a, b) < high


def test_it_is_the_same_every_time():
    a, b = torch.arange(9.0), torch.arange(5.0)
    assert bootstrap_interval(mean_difference, a, b, draws=9) == bootstrap_interval(mean_difference, a, b, draws=9)


def test_one_draw_is_refused():
    with pytest.raises(ValueError, match="at least 2 draws"):
        bootstrap_interval(mean_difference, torch.zeros(3), torch.zeros(3), draws=1)
