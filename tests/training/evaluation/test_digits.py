from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from training.data.mnist import Digits
from training.evaluation.candidate import Candidate
from training.evaluation.digits import ScoredDigits, draw_digits, draw_scored_digits, score_digits
from training.networks.classifier import DigitClassifier

Sampler = Callable[..., Candidate]
Draw = Callable[..., Digits]


@pytest.fixture
def score(classifier: DigitClassifier, draw_digits: Draw, tmp_path: Path) -> Callable[..., ScoredDigits]:
    """`score(candidate, weights=None)`: 200 samples against 200 drawn test digits, 500 of them for training."""
    train, test = draw_digits(500, seed=1), draw_digits(200, seed=2)

    def run(candidate: Candidate, weights: Path | None = None) -> ScoredDigits:
        return score_digits(candidate, classifier, train, test, 200, weights, tmp_path / "cache")

    return run


def values(scored: ScoredDigits) -> dict[str, float]:
    return {s.metric: s.value for s in scored.scores}


def fresh(draw_digits: Draw) -> Callable[[Tensor], Tensor]:
    """A perfect generator: digits of the data's own distribution."""
    return lambda z: draw_digits(len(z), seed=int(z.abs().sum() * 1000)).images


def test_a_perfect_generator_scores_like_real_digits(
    score: Callable[..., ScoredDigits], sampler: Sampler, draw_digits: Draw
) -> None:
    found = values(score(sampler(fresh(draw_digits))))
    assert found["FD (digit classifier)"] < 3 * found["FD (digit classifier), real floor"]
    assert found["digits above 1%"] == 10
    assert found["KL from training histogram"] < 0.05
    assert found["mean classifier confidence"] == pytest.approx(found["mean classifier confidence, real"], abs=0.05)
    assert found["near copies of training digits"] < 0.1
    assert min(found["precision (digit classifier)"], found["recall (digit classifier)"]) > 0.7


def test_a_collapsed_generator_is_found_out(
    score: Callable[..., ScoredDigits], sampler: Sampler, draw_digits: Draw
) -> None:
    one = draw_digits(1, seed=3)
    scored = score(sampler(lambda z: one.images.expand(len(z), -1, -1, -1)))
    found = values(scored)
    assert found["digits above 1%"] == 1
    assert found["KL from training histogram"] > 1.5
    assert found["recall (digit classifier)"] < 0.05
    assert found["FD (digit classifier)"] > 20 * found["FD (digit classifier), real floor"]
    assert set(scored.labels.tolist()) == set(one.labels.tolist())


def test_a_generator_that_recites_its_data_is_found_out(
    score: Callable[..., ScoredDigits], sampler: Sampler, draw_digits: Draw
) -> None:
    known = draw_digits(500, seed=1).images
    scored = score(sampler(lambda z: known[torch.arange(len(z))]))
    assert values(scored)["near copies of training digits"] == 1
    assert torch.equal(scored.neighbours, scored.samples[:10])


def test_noise_is_found_out(score: Callable[..., ScoredDigits], sampler: Sampler) -> None:
    found = values(score(sampler(lambda z: torch.randint(256, (len(z), 1, 28, 28), dtype=torch.uint8))))
    assert found["FD (digit classifier)"] > 20 * found["FD (digit classifier), real floor"]
    assert found["precision (digit classifier)"] < 0.05


def test_the_two_feature_spaces_have_names_of_their_own(
    score: Callable[..., ScoredDigits], sampler: Sampler, draw_digits: Draw, weights: Path
) -> None:
    without, given = values(score(sampler(fresh(draw_digits)))), values(score(sampler(fresh(draw_digits)), weights))
    assert not any("Inception" in name or "FID" in name or "KID" in name for name in without)
    added = {name for name in given if name not in without}
    assert added == {
        "FID (Inception)",
        "KID x 100 (Inception)",
        "FID (Inception), real floor",
        "KID x 100 (Inception), real floor",
        "precision (Inception)",
        "recall (Inception)",
    }


def test_features_that_take_half_an_hour_are_kept_samples_too(
    score: Callable[..., ScoredDigits], sampler: Sampler, draw_digits: Draw, weights: Path, tmp_path: Path
) -> None:
    first = score(sampler(fresh(draw_digits)), weights).scores
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("features-*.pt")}
    assert len(kept) == 3  # of the samples, of the test digits, of as many training digits
    assert score(sampler(fresh(draw_digits)), weights).scores == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("features-*.pt")} == kept


def test_distances_have_intervals_that_hold_them(
    score: Callable[..., ScoredDigits], sampler: Sampler, draw_digits: Draw
) -> None:
    scores = {s.metric: s for s in score(sampler(fresh(draw_digits))).scores}
    for name in ("FD (digit classifier)", "KD (digit classifier)"):
        assert scores[name].low < scores[name].value < scores[name].high


def test_a_conditional_generator_is_asked_for_the_datas_digits_and_checked(
    score: Callable[..., ScoredDigits], sampler: Sampler, draw_digits: Draw
) -> None:
    drawn = draw_digits(500, seed=5)
    by_label = {label: drawn.images[drawn.labels == label] for label in range(10)}

    def obedient(z: Tensor, labels: Tensor) -> Tensor:
        return torch.stack([by_label[label][0] for label in labels.tolist()])

    def deaf(z: Tensor, labels: Tensor) -> Tensor:
        return by_label[3][:1].expand(len(z), -1, -1, -1)

    assert values(score(sampler(obedient, conditional=True)))["digit as asked"] == 1
    assert values(score(sampler(deaf, conditional=True)))["digit as asked"] < 0.3


def test_the_same_z_is_drawn_every_time(sampler: Sampler) -> None:
    seen: list[Tensor] = []

    def note(z: Tensor) -> Tensor:
        seen.append(z)
        return torch.zeros(len(z), 1, 28, 28, dtype=torch.uint8)

    for _ in range(2):
        draw_digits(sampler(note), 150, torch.arange(10))
    first, rest, again, rest_again = seen
    assert (len(first), len(rest)) == (100, 50)
    assert torch.equal(first, again)
    assert torch.equal(rest, rest_again)


def test_the_image_shows_the_samples(tmp_path: Path) -> None:
    dark, bright = torch.zeros(120, 1, 28, 28, dtype=torch.uint8), torch.full((120, 1, 28, 28), 255, dtype=torch.uint8)
    means = []
    for samples in (dark, bright):
        scored = ScoredDigits(samples, torch.arange(120) % 10, samples[:10], [])
        draw_scored_digits(scored, torch.arange(50) % 10, tmp_path / "mnist.png")
        with Image.open(tmp_path / "mnist.png") as image:
            assert image.width > 400
            means.append(np.asarray(image.convert("L")).mean())
    assert means[1] > means[0] + 30
