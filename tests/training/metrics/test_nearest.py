import pytest
import torch

from training.metrics import nearest as module
from training.metrics.nearest import near_copy_share, nearest


def test_the_nearest_member_and_its_distance_by_hand():
    distances, rows = nearest(torch.tensor([[0.0, 0.0], [5.0, 5.0]]), torch.tensor([[3.0, 4.0], [5.0, 6.0]]))
    assert distances.tolist() == [5, 1]
    assert rows.tolist() == [0, 1]


def test_chunks_change_nothing(monkeypatch):
    dice = torch.Generator().manual_seed(0)
    points, members = torch.randn(23, 4, generator=dice), torch.randn(31, 4, generator=dice)
    whole = nearest(points, members)
    monkeypatch.setattr(module, "CHUNK", 5)
    assert all(torch.allclose(a.double(), b.double()) for a, b in zip(nearest(points, members), whole, strict=True))


def test_recited_data_scores_one_and_fresh_data_the_quantile():
    dice = torch.Generator().manual_seed(0)
    training, held_out, fresh = (torch.randn(2000, 3, generator=dice) for _ in range(3))
    assert near_copy_share(training[:500] + 1e-6, held_out, training) == 1
    assert near_copy_share(held_out, held_out, training, quantile=0.05) == pytest.approx(0.05)
    assert near_copy_share(fresh, held_out, training, quantile=0.05) == pytest.approx(0.05, abs=0.02)


def test_far_samples_are_no_copies():
    dice = torch.Generator().manual_seed(0)
    training, held_out = torch.randn(100, 3, generator=dice), torch.randn(100, 3, generator=dice)
    assert near_copy_share(held_out + 100, held_out, training) == 0
