"""Scores of a translation between horses and zebras."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from PIL import Image
from torch import Tensor

from training.data.errors import DataError
from training.data.folders import list_side
from training.data.unpaired import load_domain
from training.evaluation.candidate import Candidate
from training.evaluation.distances import difference, distances, real_floor, yardstick
from training.evaluation.feature_networks import (
    SORREL,
    ZEBRA,
    cached_features,
    equine_maps,
    imagenet_labels,
    inception_features,
)
from training.evaluation.report import Score, score
from training.images import tile
from training.metrics.blots import has_blot
from training.networks.pretrained import INCEPTION_FILE

GREY = "grey levels of 255 a pixel"
SIDE = 256
BATCH = 4
Split = Literal["test", "train"]
CHOOSING = 160
"""Training images, evenly spaced, that are translated to choose among checkpoints."""
COLUMNS = 6
"""Columns of the contact sheet."""
SPACE = "Inception"
EQUINE_PAIR = "horse2zebra"
"""The pair whose animals are classes of MobileNetV2."""
ON_ANIMAL, OFF_ANIMAL = 0.5, 0.1
"""Shares of the largest value of an image's map: above the first is animal, below the second background."""


@dataclass(frozen=True)
class ScoredTranslation:
    """Images of the source domain with their translations, uint8 (n, 3, 256, 256), and the scores."""

    sources: Tensor
    made: Tensor
    scores: list[Score]


def score_translation(
    candidate: Candidate,
    back: Candidate | None,
    against: Candidate | None,
    root: Path,
    weights: Path,
    cache: Path,
    split: Split = "test",
) -> ScoredTranslation:
    """Scores images of the source domain, translated at 256 px, against all images of the target's same split.

    `root`: the pair's folder. `back`: the other direction, for the cycle error. `against`: another model of the same
    direction, to compare with. `split`: all test images, or 160 of the training images, which have no real floor.
    MobileNetV2's labels are scored only for horses and zebras. Raises DataError for a folder of fewer than two images.
    """
    source, target = ("A", "B") if candidate.direction == root.name else ("B", "A")
    here, there = list_side(root, source), list_side(root, target)
    print(f"from {here}; to {there}", flush=True)
    used = (here.test, there.test) if split == "test" else (here.train, there.train)
    for files in (*used, there.train):
        if len(files.files) < 2:
            raise DataError(f"{files}: distances between sets need two or more in each")
    trained = load_domain(there.train, SIDE).images
    sources = load_domain(used[0], SIDE).images
    targets = load_domain(there.test, SIDE).images if split == "test" else trained
    sources = sources if split == "test" else _spaced(sources)
    made = candidate.generate(sources, batch=BATCH)

    look = partial(inception_features, weights=weights, cache=cache)
    features = partial(cached_features, cache, weights / INCEPTION_FILE, compute=look)
    fakes, real, untouched, others = map(features, (made, targets, sources, trained))
    kind = "test" if split == "test" else "training"
    against_real = f"{len(made)} translated against {len(targets):,} {kind} images of the target, {SIDE} px"
    instead = f"mean of ten draws of {len(made)} of {len(trained):,} training images of the target, interval of one"
    fid, kid = distances(SPACE, fakes, real, against_real)
    ceiling_fid, ceiling_kid = yardstick(SPACE, "untranslated", untouched, real, "the sources themselves")
    scores = [kid, ceiling_kid, fid, ceiling_fid]
    if split == "test":
        floor_fid, floor_kid = real_floor(SPACE, others, real, len(made), instead)
        scores = [kid, floor_kid, ceiling_kid, fid, floor_fid, ceiling_fid]
    if against is not None:
        theirs = features(against.generate(sources, batch=BATCH))
        protocol = f"this less that of {against.called}, interval paired: the same sources drawn for both"
        scores.insert(1, difference(SPACE, fakes, theirs, real, protocol))
    equine, few = root.name == EQUINE_PAIR, targets if split == "test" else _spaced(targets)
    if equine:
        scores += _labels(made, sources, few, weights, kind)
    maps = equine_maps(sources, weights) if equine else None
    scores += _changes(candidate, back, made, sources, few, maps, kind)
    return ScoredTranslation(sources, made, scores)


def _spaced(images: Tensor) -> Tensor:
    """At most 160 images (n, c, h, w), evenly spaced."""
    return images[torch.linspace(0, len(images) - 1, min(CHOOSING, len(images))).long()]


def _labels(made: Tensor, sources: Tensor, targets: Tensor, weights: Path, kind: str) -> list[Score]:
    """Shares of the images that MobileNetV2 labels zebra or sorrel, its only class of horses."""
    sets = (
        ("", made, f"{len(made)} translations, MobileNetV2 at 224 px"),
        (", untranslated", sources, "the sources themselves"),
        (", real target", targets, f"{len(targets)} {kind} images of the target"),
    )
    labels = [imagenet_labels(images, weights) for _, images, _ in sets]
    return [
        score(f"labelled {name}{which}", float((found == label).double().mean()), protocol)
        for name, label in (("zebra", ZEBRA), ("sorrel", SORREL))
        for (which, _, protocol), found in zip(sets, labels, strict=True)
    ]


def _changes(
    candidate: Candidate,
    back: Candidate | None,
    made: Tensor,
    sources: Tensor,
    targets: Tensor,
    maps: Tensor | None,
    kind: str,
) -> list[Score]:
    drift = mean_change(candidate.generate(targets, batch=BATCH), targets)
    spots = "black spots with a blue and an orange rim that the sources have not"
    scores = [
        score("images with a blot", float(has_blot(made, sources).double().mean()), f"share of {len(made)}: {spots}"),
        score("images with a blot, real target", float(has_blot(targets).double().mean()), "false alarms"),
        score("mean change", mean_change(made, sources), GREY),
        *(changes_by_place(made, sources, maps) if maps is not None else []),
        score("identity drift", drift, f"{GREY}, of {len(targets)} {kind} images of the target"),
    ]
    if back is not None:
        returned = mean_change(back.generate(made, batch=BATCH), sources)
        scores.append(score("cycle error", returned, f"{GREY}, there and back through {back.called}"))
    return scores


def changes_by_place(made: Tensor, sources: Tensor, maps: Tensor) -> list[Score]:
    """Mean changes where the maps (n, 1, h, w) of the sources are high, and where they are low.

    Pixels in between count for neither: the map's cells are 18 px wide and cannot trace an outline, so these pixels
    are the animal's surroundings and its less typical parts. The background is therefore well away from the animal,
    and what a translation spills next to it shows only in the mean change. A second animal that the network overlooks
    counts as background. A set without pixels of one kind, such as close-ups, has no score of it.
    """
    scores = []
    for name, where, place in (
        ("change on the animal", maps > ON_ANIMAL, f"above {ON_ANIMAL:.0%}"),
        ("change of the background", maps < OFF_ANIMAL, f"below {OFF_ANIMAL:.0%}"),
    ):
        if where.any():
            protocol = f"{GREY} where MobileNetV2's map of sorrel and zebra is {place} of its peak"
            share = f"{float(where.double().mean()):.0%} of the pixels"
            scores.append(score(name, mean_change(made, sources, where), f"{protocol}: {share}"))
    return scores


def draw_contact_sheet(sources: Tensor, made: Tensor, path: Path) -> None:
    """Writes a JPEG of all sources, each with its translation at its right; both uint8 (n, 3, h, w)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = tile(torch.cat([sources, made], dim=3), COLUMNS, gap=6)
    Image.fromarray(sheet.numpy()).save(path, quality=90)


def mean_change(a: Tensor, b: Tensor, weight: Tensor | None = None) -> float:
    """Mean |a - b| of images uint8 (n, c, h, w), in grey levels of 255.

    `weight` (n, 1, h, w) weighs the pixels of all images together. Raises ValueError for images of different shapes,
    or if no pixel has any weight.
    """
    if a.shape != b.shape:
        raise ValueError(f"expected images of one shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    change = (a.float() - b.float()).abs().mean(1, keepdim=True).double()
    if weight is None:
        return float(change.mean())
    total = float(weight.double().sum())
    if total == 0:
        raise ValueError("no pixel has any weight")
    return float((change * weight).sum()) / total
