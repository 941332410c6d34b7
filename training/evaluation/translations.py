"""Scores of a translation between horses and zebras."""

from functools import partial
from pathlib import Path

from torch import Tensor

from training.data.unpaired import load_domain
from training.evaluation.candidate import Candidate
from training.evaluation.distances import distances, yardstick
from training.evaluation.features import kept_features
from training.evaluation.report import Score, score
from training.feature_networks import INCEPTION_FILE, ZEBRA, imagenet_labels, inception_features

SIDE = 256
BATCH = 4
SPACE = "Inception"


def judge_translation(candidate: Candidate, root: Path, weights: Path, cache: Path) -> list[Score]:
    """Scores all test pictures of the source domain, translated at 256 px, against the target's. `root`: the pair."""
    forth = str(candidate.direction).startswith(root.name.partition("2")[0])
    source, target = ("testA", "testB") if forth else ("testB", "testA")
    sources, targets = load_domain(root, source, SIDE).images, load_domain(root, target, SIDE).images
    made = candidate.generate(sources, batch=BATCH)

    compute = partial(inception_features, weights=weights)
    fakes, real = compute(made), kept_features(cache, weights / INCEPTION_FILE, targets, compute)
    untouched = kept_features(cache, weights / INCEPTION_FILE, sources, compute)
    against = f"{len(made)} translated against {len(targets)} test pictures of the target, {SIDE} px"
    fid, kid = distances(SPACE, fakes, real, against)
    ceiling_fid, ceiling_kid = yardstick(SPACE, "untranslated", untouched, real, "the sources themselves")
    return [
        kid,
        ceiling_kid,
        fid,
        ceiling_fid,
        score("labelled zebra", _zebras(made, weights), f"{len(made)} translations, MobileNetV2 at 224 px"),
        score("labelled zebra, untranslated", _zebras(sources, weights), "the sources themselves"),
        score("mean change", float((made.float() - sources).abs().mean()), "grey levels of 255 a pixel"),
    ]


def _zebras(pictures: Tensor, weights: Path) -> float:
    return float((imagenet_labels(pictures, weights) == ZEBRA).double().mean())
