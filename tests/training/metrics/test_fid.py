import pytest
import torch

from training.metrics.fid import frechet_distance


def textbook(a, b):
    """The formula with its matrix square root, for covariances that have one."""
    ca, cb = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(ca)
    root = vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cb @ root).clamp(min=0).sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + ca.trace() + cb.trace() - 2 * cross)


def gaussians(n, m, d):
    dice = torch.Generator().manual_seed(0)
    a = torch.randn(n, d, generator=dice, dtype=torch.double)
    return a, torch.randn(m, d, generator=dice, dtype=torch.double) @ torch.randn(d, d, generator=dice).double() + 1


@pytest.mark.parametrize(("n", "m", "d"), [(200, 300, 8), (200, 300, 250), (30, 40, 64), (30, 100, 64)])
def test_it_is_the_textbook_formula_whichever_sizes(n, m, d):
    a, b = gaussians(n, m, d)
    assert frechet_distance(a, b) == pytest.approx(textbook(a, b), rel=1e-6)


def test_one_dimension_by_hand():
    a, b = torch.tensor([[0.0], [2.0]]), torch.tensor([[3.0], [7.0]])  # means 1 and 5, variances 2 and 8
    assert frechet_distance(a, b) == pytest.approx((5 - 1) ** 2 + (8**0.5 - 2**0.5) ** 2)


def test_a_set_is_at_no_distance_from_itself():
    a, _ = gaussians(30, 30, 64)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_one_sample_has_no_covariance():
    with pytest.raises(ValueError, match="at least 2 samples"):
        frechet_distance(torch.zeros(1, 4), torch.zeros(9, 4))
