import pytest
import torch

from training.evaluation.distances import difference, real_floor
from training.metrics.fid import frechet_distance
from training.metrics.kid import kernel_distance

DICE = torch.Generator().manual_seed(0)
TRAINED, REAL = torch.randn(300, 8, generator=DICE), torch.randn(60, 8, generator=DICE)


def test_the_floor_is_that_of_as_many_real_images() -> None:
    frechet, kernel = real_floor("Inception", TRAINED, REAL, 40, "ten draws")
    assert [s.metric for s in (frechet, kernel)] == ["FID (Inception), real floor", "KID x 100 (Inception), real floor"]
    # few images are farther away than many, by chance alone
    assert frechet.value > frechet_distance(TRAINED, REAL) + 0.1
    assert abs(kernel.value) < 20
    for s in (frechet, kernel):
        assert s.low is not None
        assert s.high is not None
        assert s.low < s.value < s.high


def test_where_there_are_fewer_all_are_taken() -> None:
    frechet, _ = real_floor("Inception", TRAINED[:30], REAL, 40, "all")
    assert frechet.value == pytest.approx(frechet_distance(TRAINED[:30], REAL))
    assert frechet.low == pytest.approx(frechet.value)


def test_a_difference_is_scaled_as_the_distances_are() -> None:
    a, b = TRAINED[:50] + 1, TRAINED[:50]
    said = difference("Inception", a, b, REAL, "paired")
    assert said.metric == "KID x 100 (Inception), difference"
    assert said.value == pytest.approx(100 * (kernel_distance(a, REAL) - kernel_distance(b, REAL)))
    assert said.low is not None
    assert 0 < said.low < said.value
