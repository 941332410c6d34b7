import pytest
import torch

from training.metrics import precision_recall as module
from training.metrics.precision_recall import near_copy_share, nearest, precision_recall


def share_inside(points, members, neighbours):
    """The definition, written out."""
    inside = 0
    for point in points:
        for i, member in enumerate(members):
            others = sorted(float((member - o).norm()) for j, o in enumerate(members) if j != i)
            if float((point - member).norm()) <= others[neighbours - 1]:
                inside += 1
                break
    return inside / len(points)


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("neighbours", [1, 3])
def test_it_is_the_definition(shift, neighbours):
    dice = torch.Generator().manual_seed(0)
    fake = torch.randn(20, 3, generator=dice, dtype=torch.double) + shift
    real = torch.randn(30, 3, generator=dice, dtype=torch.double)
    expected = share_inside(fake, real, neighbours), share_inside(real, fake, neighbours)
    assert precision_recall(fake, real, neighbours) == pytest.approx(expected)
    assert 0 < sum(expected) < 2


def test_chunks_change_nothing(monkeypatch):
    dice = torch.Generator().manual_seed(0)
    fake, real = torch.randn(23, 3, generator=dice), torch.randn(31, 3, generator=dice)
    whole = precision_recall(fake, real)
    monkeypatch.setattr(module, "CHUNK", 5)
    assert precision_recall(fake, real) == whole


def test_a_collapsed_generator_is_precise_and_recalls_nothing():
    dice = torch.Generator().manual_seed(0)
    real = torch.randn(300, 2, generator=dice)
    collapsed = real[0] + 1e-4 * torch.randn(300, 2, generator=dice)
    precision, recall = precision_recall(collapsed, real)
    assert precision == 1
    assert recall < 0.02


def test_noise_covers_everything_and_looks_like_nothing():
    dice = torch.Generator().manual_seed(0)
    precision, recall = precision_recall(100 * torch.randn(300, 8, generator=dice), torch.randn(300, 8, generator=dice))
    assert precision < 0.02
    assert recall == 1


def test_too_few_members_are_refused():
    with pytest.raises(ValueError, match="3 neighbours"):
        precision_recall(torch.zeros(3, 2), torch.zeros(9, 2))


def test_the_nearest_member_and_its_distance_by_hand():
    distances, rows = nearest(torch.tensor([[0.0, 0.0], [5.0, 5.0]]), torch.tensor([[3.0, 4.0], [5.0, 6.0]]))
    assert distances.tolist() == [5, 1]
    assert rows.tolist() == [0, 1]


def test_chunks_do_not_change_the_nearest(monkeypatch):
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
