import pytest
import torch

from training.metrics.bootstrap import bootstrap_reach


def mean_difference(a, b):
    return float(a.mean() - b.mean())


def test_the_interval_of_a_mean_is_as_wide_as_theory_says():
    dice = torch.Generator().manual_seed(0)
    a, b = torch.randn(400, generator=dice), torch.randn(100, generator=dice)
    reach = bootstrap_reach(mean_difference, a, b, draws=500)
    assert reach == pytest.approx(1.96 * (float(a.var()) / 400 + float(b.var()) / 100) ** 0.5, rel=0.15)


def test_it_is_the_same_every_time():
    a, b = torch.arange(9.0), torch.arange(5.0)
    assert bootstrap_reach(mean_difference, a, b, draws=9) == bootstrap_reach(mean_difference, a, b, draws=9)


def test_a_statistic_that_cannot_vary_has_no_reach():
    assert bootstrap_reach(lambda a, b: 3.0, torch.arange(9.0), torch.arange(5.0), draws=9) == 0


def test_one_draw_is_refused():
    with pytest.raises(ValueError, match="at least 2 draws"):
        bootstrap_reach(mean_difference, torch.zeros(3), torch.zeros(3), draws=1)
