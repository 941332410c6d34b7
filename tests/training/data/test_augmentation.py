from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from training.data import augmentation
from training.data.augmentation import DRAWS, augment, draw
from training.tasks.cyclegan import CycleGanTask

NAMES = ("brightness", "contrast", "down", "right", "top", "left")
SAME = 0.5
"""The draw that leaves brightness, contrast and place alone, and puts the grey box in the middle."""
CORNER = {"top": 0.999, "left": 0.999}
"""Draws that put a quarter of the box into the corner at the bottom right, and the rest outside."""


def draws(**chosen: float) -> Tensor:
    """One image's, by name."""
    return torch.tensor([[chosen.get(name, SAME) for name in NAMES]])


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64) * 2 - 1


def test_middling_draws_change_nothing_outside_the_box() -> None:
    images = noise(1, 3, 18, 24)
    changed = augment(images, draws())
    kept = torch.ones(18, 24, dtype=torch.bool)
    kept[6:12, 8:16] = False  # a third of each side
    torch.testing.assert_close(changed[..., kept], images[..., kept])
    assert not changed[..., ~kept].any()


@pytest.mark.parametrize(("number", "shift"), [(0.0, -0.15), (0.75, 0.075), (1.0, 0.15)])
def test_brightness_moves_by_up_to_15_hundredths(number: float, shift: float) -> None:
    images = noise(1, 3, 16, 16)
    changed = augment(images, draws(brightness=number, **CORNER))
    torch.testing.assert_close(changed[..., :12, :12], images[..., :12, :12] + shift)


@pytest.mark.parametrize(("number", "factor"), [(0.0, 0.75), (0.75, 1.125), (1.0, 1.25)])
def test_contrast_changes_by_up_to_a_quarter_around_the_images_mean(number: float, factor: float) -> None:
    images = noise(1, 3, 16, 16) + 0.3
    changed = augment(images, draws(contrast=number, **CORNER))
    expected = images.mean() + factor * (images - images.mean())
    torch.testing.assert_close(changed[..., :12, :12], expected[..., :12, :12])


def test_a_translation_moves_by_an_eighth_at_most_and_fills_with_grey() -> None:
    images = noise(1, 3, 16, 24)
    up = augment(images, draws(down=0, **CORNER))
    torch.testing.assert_close(up[:, :, :-4, :16], images[:, :, 2:-2, :16])
    assert not up[:, :, -2:].any()
    right = augment(images, draws(right=0.999, **CORNER))
    torch.testing.assert_close(right[:, :, :12, 3:16], images[:, :, :12, :13])
    assert not right[..., :3].any()


def test_a_box_at_the_edge_is_cut_off() -> None:
    white = torch.ones(1, 3, 18, 24)
    corner = augment(white, draws(top=0, left=0.999))
    assert not corner[:, :, :3, 20:].any()
    assert corner.sum() == 3 * (18 * 24 - 3 * 4)


def test_every_place_of_the_stated_ranges_is_drawn() -> None:
    marked = torch.zeros(1, 1, 16, 16)
    marked[..., 8, 8] = 100
    places = set()
    for numbers in draw(0, "places", range(600)):
        numbers[2 + 2 :] = torch.tensor([0.0, 0.0])  # the box in a corner
        numbers[:2] = SAME
        found = augment(marked.expand(1, 3, 16, 16), numbers[None])[0, 0].argmax()
        places.add((int(found) // 16 - 8, int(found) % 16 - 8))
    assert places == {(down, right) for down in range(-2, 3) for right in range(-2, 3)}


def test_gradients_agree_with_finite_differences() -> None:
    numbers = draw(0, "gradients", range(2))
    assert torch.autograd.gradcheck(lambda x: augment(x, numbers), noise(2, 3, 8, 8).requires_grad_())


def test_bf16_images_are_changed_in_fp32() -> None:
    assert augment(noise(1, 3, 16, 16).bfloat16(), draws(contrast=0.7)).dtype is torch.float32


def test_draws_are_of_the_image_and_the_purpose_alone() -> None:
    together = draw(3, "real", range(4, 8))
    assert torch.equal(together[2], draw(3, "real", [6])[0])
    assert not torch.equal(together[2], draw(3, "fake", [6])[0])
    assert not torch.equal(together[2], draw(4, "real", [6])[0])
    assert together.shape == (4, DRAWS)


def test_a_step_shows_the_discriminators_changed_images_alone(
    cyclegan_task: Callable[..., CycleGanTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, changed = cyclegan_task(pool=0, augment=True), []

    def remember(images: Tensor, numbers: Tensor) -> Tensor:
        changed.append((images.detach(), numbers, augment(images, numbers)))
        return changed[-1][2]

    monkeypatch.setattr(augmentation, "augment", remember)
    seen: dict[str, list[Tensor]] = {"D_X": [], "D_Y": []}
    for name, inputs in seen.items():
        task.networks[name].score.register_forward_pre_hook(lambda _, x, inputs=inputs: inputs.append(x[0]))
    task.step(0)
    fake_y, fake_x, real_y, old_y, real_x, old_x = changed
    assert torch.equal(seen["D_Y"][0], fake_y[2])
    assert torch.equal(seen["D_X"][0], fake_x[2])
    assert torch.equal(seen["D_Y"][1], torch.cat([real_y[2], old_y[2]]))
    assert torch.equal(seen["D_X"][1], torch.cat([real_x[2], old_x[2]]))
    assert torch.equal(old_y[0], fake_y[0])  # the same images, changed anew
    assert len({numbers[0, 0].item() for _, numbers, _ in changed}) == 6


def test_the_pool_keeps_images_as_they_were_made(cyclegan_task: Callable[..., CycleGanTask]) -> None:
    plain, varied = cyclegan_task(), cyclegan_task(augment=True)
    for task in (plain, varied):
        task.step(0)
    assert torch.equal(plain.pools["Y"].images, varied.pools["Y"].images)
