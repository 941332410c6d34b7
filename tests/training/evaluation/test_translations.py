from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.models import mobilenet_v2

from training.data.folders import list_images
from training.data.unpaired import load_domain
from training.evaluation.candidate import Candidate
from training.evaluation.feature_networks import LABEL_SIDE, imagenet_inputs
from training.evaluation.report import Score
from training.evaluation.translations import (
    COLUMNS,
    changes_by_place,
    draw_contact_sheet,
    mean_change,
    score_translation,
)
from training.networks.pretrained import MOBILENET_FILE

Run = Callable[[Tensor], Tensor]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Red horses and green zebras."""
    dice = np.random.default_rng(0)
    for name, count, colour in (("testA", 4, 0), ("testB", 5, 1), ("trainA", 6, 0), ("trainB", 6, 1)):
        (tmp_path / "horse2zebra" / name).mkdir(parents=True)
        for i in range(count):
            pixels = dice.integers(0, 100, (256, 256, 3), dtype=np.uint8)
            pixels[..., colour] += 150
            Image.fromarray(pixels).save(tmp_path / "horse2zebra" / name / f"{i}.png")
    return tmp_path / "horse2zebra"


@pytest.fixture
def score_of(root: Path, weights: Path, tmp_path: Path) -> Callable[..., dict[str, Score]]:
    """`score_of(run, direction, back=None, against=None)`: the scores by name."""

    def scores(run: Run, direction: str, back: Run | None = None, against: Run | None = None) -> dict[str, Score]:
        made, returned, other = (
            r and Candidate(direction, direction, None, False, r, "ab" * 32) for r in (run, back, against)
        )
        assert made
        scored = score_translation(made, returned, other, root, weights, tmp_path / "cache")
        assert torch.equal(scored.made, run(scored.sources))
        return {s.metric: s for s in scored.scores}

    return scores


@pytest.mark.parametrize(("direction", "n"), [("horse2zebra", 4), ("zebra2horse", 5)])
def test_a_copy_scores_what_untranslated_images_score(
    score_of: Callable[..., dict[str, Score]], direction: str, n: int
) -> None:

    def copy(images: Tensor) -> Tensor:
        assert images.shape[1:] == (3, 256, 256)
        return images

    scores = score_of(copy, direction, back=copy, against=copy)
    found = {name: s.value for name, s in scores.items()}
    assert f"{n} translated" in scores["FID (Inception)"].protocol
    assert found["KID x 100 (Inception)"] == pytest.approx(found["KID x 100 (Inception), untranslated"])
    assert found["FID (Inception)"] == pytest.approx(found["FID (Inception), untranslated"])
    for animal in ("zebra", "sorrel"):
        assert found[f"labelled {animal}"] == found[f"labelled {animal}, untranslated"]
    for change in ("mean change", "change on the animal", "identity drift", "cycle error"):
        assert found[change] == 0
    assert found["KID x 100 (Inception), difference"] == 0


def swap(images: Tensor) -> Tensor:
    return images[:, [1, 0, 2]]


def test_a_translation_is_nearer_to_the_target_than_its_source(score_of: Callable[..., dict[str, Score]]) -> None:
    found = {name: s.value for name, s in score_of(swap, "horse2zebra", back=swap).items()}
    assert found["mean change"] > 50
    for distance in ("KID x 100 (Inception)", "FID (Inception)"):
        assert found[distance] < found[f"{distance}, untranslated"] / 2
    assert found["cycle error"] == 0


@pytest.mark.parametrize(("name", "number"), [("sorrel", 339), ("zebra", 340)])
def test_labels_are_counted_of_the_images_they_are_said_of(
    score_of: Callable[..., dict[str, Score]], root: Path, weights: Path, name: str, number: int
) -> None:
    """A network whose class of that number is green images."""
    network = mobilenet_v2()
    network.load_state_dict(torch.load(weights / MOBILENET_FILE))
    network.eval()
    red, green = (load_domain(list_images(root / folder), 256).images for folder in ("testA", "testB"))
    with torch.no_grad():
        means = [network.features(imagenet_inputs(images, LABEL_SIDE)).mean((0, 2, 3)) for images in (red, green)]
        weight, bias = network.classifier[1].weight, network.classifier[1].bias
        weight.zero_()
        bias.zero_()
        weight[number] = means[1] - means[0]
        bias[number] = -weight[number] @ (means[0] + means[1]) / 2
    torch.save(network.state_dict(), weights / MOBILENET_FILE)
    found = {score: s.value for score, s in score_of(swap, "horse2zebra").items()}
    kinds = {"": 1, ", untranslated": 0, ", real target": 1}
    assert {kind: found[f"labelled {name}{kind}"] for kind in kinds} == kinds
    other = {"sorrel": "zebra", "zebra": "sorrel"}[name]
    assert {found[f"labelled {other}{kind}"] for kind in kinds} == {0}


def test_drift_and_cycle_are_measured_on_their_own_images(score_of: Callable[..., dict[str, Score]]) -> None:
    def brighter(images: Tensor) -> Tensor:
        return (images.int() + 5).to(torch.uint8)  # no pixel is brighter than 249

    def darker(images: Tensor) -> Tensor:
        return images - 2 * (images > 1)

    scores = score_of(brighter, "zebra2horse", back=darker)
    assert scores["mean change"].value == 5
    assert scores["change on the animal"].value == pytest.approx(5)
    assert scores["identity drift"].value == 5
    assert "of 4 test images" in scores["identity drift"].protocol
    assert scores["cycle error"].value == pytest.approx(3)
    assert "zebra2horse abababababab" in scores["cycle error"].protocol


def test_changes_are_told_apart_by_place() -> None:
    sources = torch.full((2, 3, 4, 10), 100, dtype=torch.uint8)
    maps = torch.linspace(0, 1, 10).expand(2, 1, 4, 10)  # 0, 0.11, ... 1 from left to right
    made = sources.clone()
    made[..., 0], made[..., 1:5], made[..., 5:] = 103, 255, 130
    on, off = changes_by_place(made, sources, maps)
    assert (on.metric, on.value) == ("change on the animal", 30)
    assert (off.metric, off.value) == ("change of the background", 3)
    assert off.protocol.endswith("below 10% of its peak: 10% of the pixels")


def test_close_ups_have_no_background() -> None:
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    assert [s.metric for s in changes_by_place(images, images, torch.ones(2, 1, 4, 4))] == ["change on the animal"]


def test_the_training_split_never_opens_the_test_images(root: Path, weights: Path, tmp_path: Path) -> None:
    for image in (*root.glob("test*/*.png"), root / "testA" / "other.png"):
        image.write_bytes(b"no image")
    model = Candidate("horse2zebra", "horse2zebra", None, False, swap, "ab" * 32)
    scored = score_translation(model, None, None, root, weights, tmp_path / "cache", split="train")
    assert torch.equal(scored.sources, load_domain(list_images(root / "trainA"), 256).images)
    protocols = {s.metric: s.protocol for s in scored.scores}
    assert protocols["FID (Inception)"] == "6 translated against 6 training images of the target, 256 px"
    assert not [name for name in protocols if "floor" in name]


def test_without_a_way_back_or_another_model_nothing_is_said_of_them(score_of: Callable[..., dict[str, Score]]) -> None:
    assert not {"cycle error", "KID x 100 (Inception), difference"} & set(score_of(swap, "horse2zebra"))


def test_the_difference_to_a_worse_model_is_below_zero(score_of: Callable[..., dict[str, Score]]) -> None:
    def dark(images: Tensor) -> Tensor:
        return images // 2

    scores = score_of(swap, "horse2zebra", against=dark)
    said = scores["KID x 100 (Inception), difference"]
    theirs = score_of(dark, "horse2zebra")["KID x 100 (Inception)"]
    assert said.value == pytest.approx(scores["KID x 100 (Inception)"].value - theirs.value)
    assert said.value < 0
    assert "horse2zebra abababababab" in said.protocol


def test_every_image_stands_left_of_its_translation(tmp_path: Path) -> None:
    n, side = 8, 32
    sources = torch.arange(n).mul(20).to(torch.uint8).view(n, 1, 1, 1).expand(n, 3, side, side)
    made = 255 - sources
    draw_contact_sheet(sources, made, tmp_path / "new" / "horse2zebra.jpg")
    with Image.open(tmp_path / "new" / "horse2zebra.jpg") as image:
        assert image.format == "JPEG"
        pixels = np.asarray(image.convert("L")).astype(int)
    for i in range(n):
        top, left = i // COLUMNS * (side + 6) + side // 2, i % COLUMNS * (2 * side + 6) + side // 2
        assert abs(pixels[top, left] - 20 * i) < 8
        assert abs(pixels[top, left + side] - (255 - 20 * i)) < 8


BLACK = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)


def test_it_counts_grey_levels_either_way() -> None:
    other = BLACK.clone()
    other[0] = 200
    assert mean_change(BLACK, other) == mean_change(other, BLACK) == 100


def test_weights_choose_the_pixels_over_all_images_together() -> None:
    other, weight = BLACK.clone(), torch.zeros(2, 1, 4, 4)
    other[0, :, 0], other[1] = 60, 10
    weight[0, :, 0] = 1  # 4 pixels that changed by 60
    assert mean_change(BLACK, other, weight) == 60
    weight[1, :, 0] = 0.5  # 4 more, that count half
    assert mean_change(BLACK, other, weight) == pytest.approx((4 * 60 + 2 * 10) / 6)


def test_uniform_weights_change_nothing() -> None:
    dice = torch.Generator().manual_seed(0)
    a, b = (torch.randint(256, (3, 3, 8, 8), generator=dice, dtype=torch.uint8) for _ in "ab")
    assert mean_change(a, b, torch.full((3, 1, 8, 8), 0.3)) == pytest.approx(mean_change(a, b))


def test_images_of_other_shapes_and_no_weight_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        mean_change(BLACK, BLACK[:1])
    with pytest.raises(ValueError, match="no pixel has any weight"):
        mean_change(BLACK, BLACK, torch.zeros(2, 1, 4, 4))
