"""Scores of a translation between horses and zebras."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from training.data.errors import DataError
from training.data.unpaired import load_domain, load_training_domain
from training.evaluation.candidate import Candidate
from training.evaluation.distances import difference, distances, real_floor, yardstick
from training.evaluation.feature_networks import (
    INCEPTION_FILE,
    SORREL,
    ZEBRA,
    equine_maps,
    imagenet_labels,
    inception_features,
    kept_features,
)
from training.evaluation.report import Score, score
from training.images import tile

GREY = "grey levels of 255 a pixel"
SIDE = 256
BATCH = 4
SPACE = "Inception"
EQUINE_PAIR = "horse2zebra"
"""Whose animals MobileNetV2 knows."""
ON_ANIMAL, OFF_ANIMAL = 0.5, 0.1
"""Of the largest value of a picture's map: above the first is animal, below the second background."""


@dataclass(frozen=True)
class JudgedTranslation:
    """All test pictures of the source domain with their translations, uint8 (n, 3, 256, 256), and the scores."""

    sources: Tensor
    made: Tensor
    scores: list[Score]


def judge_translation(
    candidate: Candidate,
    back: Candidate | None,
    against: Candidate | None,
    root: Path,
    weights: Path,
    cache: Path,
) -> JudgedTranslation:
    """Scores all test pictures of the source domain, translated at 256 px, against the target's. `root`: the pair.

    `back` translates the other way, for the cycle; `against` is another model of the same direction to be compared.
    What MobileNetV2 sees in the pictures is asked of horses and zebras alone. Raises DataError for a folder of fewer
    than two pictures.
    """
    source, target = ("A", "B") if candidate.direction == root.name else ("B", "A")
    sources, targets = (load_domain(root, f"test{side}", SIDE).images for side in (source, target))
    trained = load_training_domain(root, f"train{target}", SIDE).images
    for name, pictures in ((f"test{source}", sources), (f"test{target}", targets), (f"train{target}", trained)):
        if len(pictures) < 2:
            raise DataError(f"{root / name} holds one picture: distances between sets need two or more a folder")
    made = candidate.generate(sources, batch=BATCH)

    look = partial(inception_features, weights=weights, cache=cache)
    features = partial(kept_features, cache, weights / INCEPTION_FILE, compute=look)
    fakes, real, untouched, others = map(features, (made, targets, sources, trained))
    against_real = f"{len(made)} translated against {len(targets)} test pictures of the target, {SIDE} px"
    instead = f"mean of ten draws of {len(made)} of {len(trained):,} training pictures of the target, interval of one"
    fid, kid = distances(SPACE, fakes, real, against_real)
    floor_fid, floor_kid = real_floor(SPACE, others, real, len(made), instead)
    ceiling_fid, ceiling_kid = yardstick(SPACE, "untranslated", untouched, real, "the sources themselves")
    scores = [kid, floor_kid, ceiling_kid, fid, floor_fid, ceiling_fid]
    if against is not None:
        theirs = features(against.generate(sources, batch=BATCH))
        protocol = f"this less that of {against.called}, interval paired: the same sources drawn for both"
        scores.insert(1, difference(SPACE, fakes, theirs, real, protocol))
    equine = root.name == EQUINE_PAIR
    if equine:
        scores += _labels(made, sources, targets, weights)
    maps = equine_maps(sources, weights) if equine else None
    scores += _changes(candidate, back, made, sources, targets, maps)
    return JudgedTranslation(sources, made, scores)


def _labels(made: Tensor, sources: Tensor, targets: Tensor, weights: Path) -> list[Score]:
    """What MobileNetV2 takes the pictures for; of horses it knows the sorrel alone."""
    sets = (
        ("", made, f"{len(made)} translations, MobileNetV2 at 224 px"),
        (", untranslated", sources, "the sources themselves"),
        (", real target", targets, "the test pictures of the target"),
    )
    labels = [imagenet_labels(pictures, weights) for _, pictures, _ in sets]
    return [
        score(f"labelled {name}{kind}", float((found == label).double().mean()), protocol)
        for name, label in (("zebra", ZEBRA), ("sorrel", SORREL))
        for (kind, _, protocol), found in zip(sets, labels, strict=True)
    ]


def _changes(
    candidate: Candidate,
    back: Candidate | None,
    made: Tensor,
    sources: Tensor,
    targets: Tensor,
    maps: Tensor | None,
) -> list[Score]:
    drift = mean_change(candidate.generate(targets, batch=BATCH), targets)
    scores = [
        score("mean change", mean_change(made, sources), GREY),
        *(changes_by_place(made, sources, maps) if maps is not None else []),
        score("identity drift", drift, f"{GREY}, of the {len(targets)} test pictures of the target"),
    ]
    if back is not None:
        returned = mean_change(back.generate(made, batch=BATCH), sources)
        scores.append(score("cycle error", returned, f"{GREY}, there and back through {back.called}"))
    return scores


def changes_by_place(made: Tensor, sources: Tensor, maps: Tensor) -> list[Score]:
    """How much changed where the maps (n, 1, h, w) of the sources are high, and where they are low.

    Between the two lies the animal's surroundings and those parts of it that tell little about it, counted to neither
    side: the map's cells are 18 px wide and cannot trace an outline. The background is therefore what is well away
    from the animal; what a translation spills right around it shows in the mean change only. A second animal that
    the network overlooks counts as background. A side without a single pixel, as in a set of close-ups, has no score.
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


COLUMNS = 6


def draw_contact_sheet(sources: Tensor, made: Tensor, path: Path) -> None:
    """Writes a JPEG of pairs, source left and translation right; both uint8 (n, 3, h, w)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = tile(torch.cat([sources, made], dim=3), COLUMNS, gap=6)
    Image.fromarray(sheet.numpy()).save(path, quality=90)


def mean_change(a: Tensor, b: Tensor, weight: Tensor | None = None) -> float:
    """Mean |a - b| of pictures uint8 (n, c, h, w), in grey levels of 255.

    With `weight` (n, 1, h, w) pixels count by it, over all pictures together: one without any adds nothing.
    Raises ValueError for pictures of two shapes, or when no pixel has any weight.
    """
    if a.shape != b.shape:
        raise ValueError(f"pictures of one shape are compared, got {tuple(a.shape)} and {tuple(b.shape)}")
    change = (a.float() - b.float()).abs().mean(1, keepdim=True).double()
    if weight is None:
        return float(change.mean())
    total = float(weight.double().sum())
    if total == 0:
        raise ValueError("no pixel has any weight")
    return float((change * weight).sum()) / total
