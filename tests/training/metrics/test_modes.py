import math

import pytest
import torch

from training.metrics.modes import count_modes, histogram, kl_divergence


def test_a_histogram_counts_labels():
    assert histogram(torch.tensor([0, 0, 1, 3]), classes=4).tolist() == [0.5, 0.25, 0, 0.25]


def test_kl_by_hand_with_an_absent_class():
    p, q = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.25, 0.5, 0.25])
    assert kl_divergence(p, q) == pytest.approx(0.5 * math.log(2))


def test_only_shares_above_a_hundredth_are_modes():
    assert count_modes(torch.tensor([0.97, 0.01, 0.02])) == 2
