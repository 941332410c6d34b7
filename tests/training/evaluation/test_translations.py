from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from training.evaluation.candidate import Candidate
from training.evaluation.translations import judge_translation


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Red horses and green zebras."""
    dice = np.random.default_rng(0)
    for name, count, colour in (("testA", 4, 0), ("testB", 5, 1)):
        (tmp_path / "horse2zebra" / name).mkdir(parents=True)
        for i in range(count):
            pixels = dice.integers(0, 100, (256, 256, 3), dtype=np.uint8)
            pixels[..., colour] += 150
            Image.fromarray(pixels).save(tmp_path / "horse2zebra" / name / f"{i}.png")
    return tmp_path / "horse2zebra"


@pytest.fixture
def judge(root: Path, weights: Path, tmp_path: Path) -> Callable[..., dict[str, float]]:
    """`judge(run, direction)`: the scores by name."""

    def scores(run: Callable[[Tensor], Tensor], direction: str) -> dict[str, float]:
        candidate = Candidate(direction, direction, None, False, False, run, None)
        return {s.metric: s.value for s in judge_translation(candidate, root, weights, tmp_path / "cache")}

    return scores


@pytest.mark.parametrize(("direction", "n"), [("horse2zebra", 4), ("zebra2horse", 5)])
def test_a_copy_scores_what_untranslated_pictures_score(
    judge: Callable[..., dict[str, float]], direction: str, n: int
) -> None:
    seen: list[int] = []

    def copy(pictures: Tensor) -> Tensor:
        seen.append(len(pictures))
        assert pictures.shape[1:] == (3, 256, 256)
        return pictures

    found = judge(copy, direction)
    assert sum(seen) == n
    assert found["KID x 100 (Inception)"] == pytest.approx(found["KID x 100 (Inception), untranslated"])
    assert found["FID (Inception)"] == pytest.approx(found["FID (Inception), untranslated"])
    assert found["labelled zebra"] == found["labelled zebra, untranslated"]
    assert found["mean change"] == 0


def test_a_translation_is_nearer_to_the_target_than_its_source(judge: Callable[..., dict[str, float]]) -> None:
    found = judge(lambda pictures: pictures[:, [1, 0, 2]], "horse2zebra")
    assert found["mean change"] > 50
    assert found["KID x 100 (Inception)"] <= found["KID x 100 (Inception), untranslated"]
    assert 0 <= found["labelled zebra"] <= 1
