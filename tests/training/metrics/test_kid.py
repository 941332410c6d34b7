import pytest
import torch

from training.metrics.kid import kernel_difference_interval, kernel_distance, kernel_interval


def sets(shift):
    dice = torch.Generator().manual_seed(0)
    return torch.randn(12, 5, generator=dice), torch.randn(9, 5, generator=dice) + shift


def test_it_is_the_unbiased_estimate_written_out():
    a, b = (x.double() for x in sets(0.5))

    def k(x, y):
        return float((x @ y / 5 + 1) ** 3)

    within_a = sum(k(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j) / (12 * 11)
    within_b = sum(k(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j) / (9 * 8)
    across = sum(k(x, y) for x in a for y in b) / (12 * 9)
    assert kernel_distance(a, b) == pytest.approx(within_a + within_b - 2 * across)


def test_the_same_distribution_is_near_zero_and_another_is_not():
    dice = torch.Generator().manual_seed(1)
    a, b = torch.randn(400, 16, generator=dice), torch.randn(400, 16, generator=dice)
    assert abs(kernel_distance(a, b)) < 0.01 < kernel_distance(a, b + 1)


def test_the_interval_holds_the_estimate_and_is_the_same_every_time():
    a, b = sets(1.0)
    low, high = kernel_interval(a, b, draws=300)
    assert low < kernel_distance(a, b) < high
    assert kernel_interval(a, b, draws=300) == (low, high)


def test_one_sample_is_refused():
    with pytest.raises(ValueError, match="at least 2 samples"):
        kernel_distance(torch.zeros(1, 4), torch.zeros(9, 4))


def test_one_draw_is_the_estimate_of_the_redrawn_sets_without_a_row_beside_itself():
    a, b = (x.double() for x in sets(0.5))
    dice = torch.Generator().manual_seed(7)
    rows_a, rows_b = torch.randint(12, (12,), generator=dice), torch.randint(9, (9,), generator=dice)

    def k(x, y):
        return float((x @ y / 5 + 1) ** 3)

    def within(x, rows):
        pairs = [(i, j) for i in rows.tolist() for j in rows.tolist() if i != j]
        return sum(k(x[i], x[j]) for i, j in pairs) / len(pairs)

    across = sum(k(a[i], b[j]) for i in rows_a.tolist() for j in rows_b.tolist()) / (12 * 9)
    low, high = kernel_interval(a, b, draws=1, seed=7)
    assert low == high == pytest.approx(within(a, rows_a) + within(b, rows_b) - 2 * across)


def test_a_paired_draw_takes_the_same_sources_for_both_models():
    a, real = sets(0.5)
    b = a + 1
    dice = torch.Generator().manual_seed(7)
    weights = [torch.bincount(torch.randint(n, (n,), generator=dice), minlength=n) for n in (12, 9)]
    rows, targets = (torch.arange(len(w)).repeat_interleave(w) for w in weights)

    def k(x, y):
        return float((x.double() @ y.double() / 5 + 1) ** 3)

    def within(x):
        pairs = [(i, j) for i in rows.tolist() for j in rows.tolist() if i != j]
        return sum(k(x[i], x[j]) for i, j in pairs) / len(pairs)

    def across(x):
        return sum(k(x[i], real[j]) for i in rows.tolist() for j in targets.tolist()) / (12 * 9)

    low, high = kernel_difference_interval(a, b, real, draws=1, seed=7)
    assert low == high == pytest.approx(within(a) - 2 * across(a) - within(b) + 2 * across(b))


def test_the_paired_interval_sees_what_two_separate_ones_do_not():
    dice = torch.Generator().manual_seed(3)
    a, real = torch.randn(120, 16, generator=dice), torch.randn(140, 16, generator=dice) + 0.5
    b = a + 0.02 + 0.01 * torch.randn(120, 16, generator=dice)  # a trifle nearer to the real ones
    (low_a, high_a), (low_b, high_b) = (kernel_interval(made, real, draws=300) for made in (a, b))
    assert low_a < high_b  # taken alone, the two cannot be told apart
    assert low_b < high_a
    low, high = kernel_difference_interval(a, b, real, draws=300)
    assert 0 < low < kernel_distance(a, real) - kernel_distance(b, real) < high


def test_a_model_does_not_differ_from_itself_and_the_order_is_a_sign():
    a, real = sets(1.0)
    assert kernel_difference_interval(a, a, real, draws=50) == (0, 0)
    low, high = kernel_difference_interval(a, a + 1, real, draws=50)
    assert kernel_difference_interval(a + 1, a, real, draws=50) == pytest.approx((-high, -low))


def test_models_of_other_sources_are_not_paired():
    a, real = sets(1.0)
    with pytest.raises(ValueError, match="equally many rows"):
        kernel_difference_interval(a, a[:-1], real)
