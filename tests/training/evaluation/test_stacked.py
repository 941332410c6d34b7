import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from training.data.mnist import Digits
from training.evaluation.candidate import Candidate
from training.evaluation.stacked import judge_stacked
from training.networks.classifier import DigitClassifier

Draw = Callable[..., Digits]


@pytest.fixture
def judge(
    sampler: Callable[..., Candidate], classifier: DigitClassifier, draw_digits: Draw
) -> Callable[[list[list[int]]], dict[str, float]]:
    """`judge(kinds)`: scores of a generator that makes these triples of digits, over and over."""
    drawn = draw_digits(300, seed=4)
    one = [drawn.images[drawn.labels == digit][0, 0] for digit in range(10)]

    def scores(kinds: list[list[int]]) -> dict[str, float]:
        made = itertools.cycle(torch.stack([one[d] for d in kind]) for kind in kinds)

        def draw(z: Tensor) -> Tensor:
            return torch.stack(list(itertools.islice(made, len(z))))

        return {s.metric: s.value for s in judge_stacked(sampler(draw, stacked=True), classifier, count=2000)}

    return scores


def test_all_kinds_are_counted(judge: Callable[..., dict[str, float]]) -> None:
    found = judge([[a, b, c] for a in range(10) for b in range(10) for c in range(10)])
    assert found == {"stacked modes of 1,000": 1000, "KL from uniform over 1,000 modes": pytest.approx(0)}


def test_few_kinds_are_few_modes_and_far_from_uniform(judge: Callable[..., dict[str, float]]) -> None:
    found = judge([[1, 2, 3], [3, 2, 1], [7, 7, 7], [7, 7, 8]])
    assert found["stacked modes of 1,000"] == 4
    assert found["KL from uniform over 1,000 modes"] == pytest.approx(torch.tensor(250.0).log().item())
