"""Scores of a generator of stacked MNIST (Metz et al. 2017): how many of 1,000 kinds of picture it makes."""

import torch

from training.data.mnist import CLASSES
from training.evaluation.candidate import Candidate
from training.evaluation.digit_classifier import classify
from training.evaluation.digits import BATCH
from training.evaluation.report import Score, score
from training.metrics.modes import histogram, kl_divergence
from training.networks.classifier import DigitClassifier

KINDS = CLASSES**3
SAMPLES = 26_000
"""As published scores have it (Lin et al. 2018)."""


def judge_stacked(candidate: Candidate, classifier: DigitClassifier, count: int = SAMPLES) -> list[Score]:
    """Scores `count` samples by the three digits that the classifier reads in each."""
    z = torch.randn(count, candidate.latent or 0, generator=torch.Generator().manual_seed(0))
    pictures = candidate.generate(z, batch=BATCH)
    digits = classify(classifier, pictures.flatten(0, 1).unsqueeze(1)).view(-1, 3)
    shares = histogram(digits @ torch.tensor([100, 10, 1]), KINDS)
    protocol = f"{count:,} samples of three digits, each labelled by the digit classifier"
    uniform = torch.full_like(shares, 1 / KINDS)
    return [
        score("stacked modes of 1,000", float((shares > 0).sum()), protocol),
        score("KL from uniform over 1,000 modes", kl_divergence(shares, uniform), protocol),
    ]
