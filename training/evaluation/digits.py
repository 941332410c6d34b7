"""Scores of a digit generator."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from training.data.mnist import Digits
from training.evaluation.candidate import Candidate
from training.evaluation.distances import distances, yardstick
from training.evaluation.feature_networks import cached_features, inception_features
from training.evaluation.report import Score, score
from training.images import tile, to_signed
from training.metrics.modes import count_modes, histogram, kl_divergence
from training.metrics.precision_recall import NEIGHBOURS, near_copy_share, nearest, precision_recall
from training.networks.classifier import DigitClassifier
from training.networks.pretrained import INCEPTION_FILE
from training.plots import plt

BATCH = 100
CLASSIFIER = "digit classifier"
INCEPTION = "Inception"


@dataclass(frozen=True)
class ScoredDigits:
    """Samples with their scores, and what `draw_scored_digits` draws."""

    samples: Tensor
    """uint8 (n, 1, 28, 28)."""
    labels: Tensor
    """The classifier's labels of the samples, (n,)."""
    neighbours: Tensor
    """The training digit nearest to each of the first samples in feature space, uint8 (k, 1, 28, 28)."""
    scores: list[Score]


def draw_digits(candidate: Candidate, count: int, classes: Tensor) -> tuple[Tensor, Tensor | None]:
    """`count` digits for z from seed 0 and, of a conditional generator, the labels asked for, drawn from `classes`."""
    dice = torch.Generator().manual_seed(0)
    z = torch.randn(count, candidate.latent or 0, generator=dice)
    if not candidate.conditional:
        return candidate.generate(z, batch=BATCH), None
    asked = classes[torch.randint(len(classes), (count,), generator=dice)]
    return candidate.generate(z, asked, batch=BATCH), asked


def score_digits(
    candidate: Candidate,
    classifier: DigitClassifier,
    train: Digits,
    test: Digits,
    count: int,
    weights: Path | None,
    cache: Path,
) -> ScoredDigits:
    """Scores `count` samples in the classifier's features and, with `weights`, in the Inception network's."""
    samples, asked = draw_digits(candidate, count, train.labels)
    made, sure = _look(classifier, samples)
    real, real_sure = _look(classifier, test.images)
    known, _ = _look(classifier, train.images)
    labels = sure.argmax(1)
    against = f"{len(samples):,} samples against the {len(test.images):,} test digits"
    instead = train.images[: len(samples)]  # as many if there are: a Fréchet distance depends on the number
    floor = f"the first {len(instead):,} training digits instead"
    scores = []

    if weights is not None:
        compute = partial(inception_features, weights=weights, cache=cache)
        fakes, reals, others = (  # half an hour of a core each
            cached_features(cache, weights / INCEPTION_FILE, images, compute)
            for images in (samples, test.images, instead)
        )
        scores += distances(INCEPTION, fakes, reals, against)
        scores += yardstick(INCEPTION, "real floor", others, reals, floor)
        scores += _manifolds(INCEPTION, fakes, reals, against)
    scores += distances(CLASSIFIER, made, real, against)
    scores += yardstick(CLASSIFIER, "real floor", known[: len(instead)], real, floor)
    scores += _manifolds(CLASSIFIER, made, real, against)

    shares, same = histogram(labels), f"the same samples, labelled by the {CLASSIFIER}"
    scores += [
        score("digits above 1%", count_modes(shares), same),
        score("KL from training histogram", kl_divergence(shares, histogram(train.labels)), same),
        score("mean classifier confidence", float(sure.amax(1).mean()), same),
        score("mean classifier confidence, real", float(real_sure.amax(1).mean()), "the test digits"),
        score(
            "near copies of training digits",
            near_copy_share(made, real, known),
            f"share nearer to one of {len(known):,} training digits than 99% of test digits are, {CLASSIFIER} features",
        ),
    ]
    if asked is not None:
        scores.insert(0, score("digit as asked", float((labels == asked).double().mean()), same))
    shown = nearest(made[:10], known)[1]
    return ScoredDigits(samples, labels, train.images[shown], scores)


def _manifolds(space: str, made: Tensor, real: Tensor, protocol: str) -> list[Score]:
    precision, recall = precision_recall(made, real)
    how = f"{protocol}, {NEIGHBOURS} neighbours"
    return [score(f"precision ({space})", precision, how), score(f"recall ({space})", recall, how)]


@torch.no_grad()
def _look(classifier: DigitClassifier, digits: Tensor) -> tuple[Tensor, Tensor]:
    """Features (n, 128) and class probabilities (n, 10) of uint8 digits."""
    features = torch.cat([classifier.features(to_signed(part)) for part in digits.split(1000)])
    return features, classifier.classify(features).softmax(1)


def draw_scored_digits(scored: ScoredDigits, training_labels: Tensor, path: Path) -> None:
    """Writes a PNG: 100 samples; the first ten above their nearest training digits; the histogram beside the training
    set's."""
    figure, (grid, pairs, bars) = plt.subplots(
        3, 1, figsize=(6, 10), height_ratios=(6, 1.3, 2), gridspec_kw={"hspace": 0.25}
    )
    grid.imshow(tile(scored.samples[:100], columns=10).numpy(), cmap="gray", vmin=0, vmax=255)
    grid.set_title("samples")
    first = scored.samples[: len(scored.neighbours)]
    pairs.imshow(tile(torch.cat([first, scored.neighbours]), columns=len(first)).numpy(), cmap="gray", vmin=0, vmax=255)
    pairs.set_title("samples over their nearest training digits")
    for axis in (grid, pairs):
        axis.axis("off")
    digits = range(10)
    bars.bar([d - 0.2 for d in digits], histogram(scored.labels).tolist(), 0.4, label="samples")
    bars.bar([d + 0.2 for d in digits], histogram(training_labels).tolist(), 0.4, label="training set")
    bars.set_xticks(list(digits))
    bars.set_ylabel("share")
    bars.legend(fontsize="small", loc="lower right")
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)
