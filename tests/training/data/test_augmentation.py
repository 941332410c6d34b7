from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import Tensor

from training.data import augmentation
from training.data.augmentation import DRAWS, Policy, augment, draw
from training.tasks.cyclegan import CycleGanTask

EVERY: tuple[Policy, ...] = get_args(Policy)
SAME = 0.5
"""The draw that leaves colours and place alone."""


def draws(**chosen: float) -> Tensor:
    """One image's, by name."""
    names = ("brightness", "saturation", "contrast", "down", "right", "top", "left")
    return torch.tensor([[chosen.get(name, SAME) for name in names]])


def picture(*shape: int) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64) * 2 - 1


def test_without_policies_images_stay_themselves() -> None:
    images = picture(2, 3, 16, 16)
    assert augment(images, [], torch.rand(2, DRAWS)) is images


def test_middling_draws_change_neither_colours_nor_place() -> None:
    images = picture(1, 3, 16, 16)
    torch.testing.assert_close(augment(images, ["colour", "translation"], draws()), images)


def test_colours_by_hand() -> None:
    image = torch.tensor([[[[0.3, 0.1]], [[0.0, -0.1]], [[-0.3, 0.0]]]])  # two pixels, each of mean 0
    brighter = augment(image, ["colour"], draws(brightness=0.75))
    torch.testing.assert_close(brighter, image + 0.25)
    torch.testing.assert_close(augment(image, ["colour"], draws(saturation=0)), torch.zeros_like(image))
    torch.testing.assert_close(augment(image, ["colour"], draws(saturation=0.75)), 1.5 * image)
    torch.testing.assert_close(augment(image, ["colour"], draws(contrast=1)), 1.5 * image)


def test_a_translation_moves_by_an_eighth_at_most_and_fills_with_grey() -> None:
    images = picture(1, 3, 16, 24)
    up = augment(images, ["translation"], draws(down=0))
    assert torch.equal(up[:, :, :-2], images[:, :, 2:])
    assert not up[:, :, -2:].any()
    right = augment(images, ["translation"], draws(right=0.999))
    assert torch.equal(right[..., 3:], images[..., :-3])
    assert not right[..., :3].any()


def test_a_cutout_is_a_box_of_half_of_each_side() -> None:
    white = torch.ones(1, 3, 16, 24)
    cut = augment(white, ["cutout"], draws())
    box = torch.zeros(16, 24)
    box[4:12, 6:18] = 1
    assert torch.equal(cut[0], (1 - box).expand(3, 16, 24))
    corner = augment(white, ["cutout"], draws(top=0, left=0.999))
    assert not corner[:, :, :4, 18:].any()
    assert corner.sum() == 3 * (16 * 24 - 4 * 6)


@pytest.mark.parametrize("policies", [[policy] for policy in EVERY] + [list(EVERY)], ids="+".join)
def test_gradients_agree_with_finite_differences(policies: list[Policy]) -> None:
    numbers = draw(0, "gradients", range(2))
    assert torch.autograd.gradcheck(lambda x: augment(x, policies, numbers), picture(2, 3, 8, 8).requires_grad_())


def test_bf16_images_are_changed_in_fp32() -> None:
    changed = augment(picture(1, 3, 16, 16).bfloat16(), EVERY, draws(contrast=0.7))
    assert changed.dtype is torch.float32


def test_draws_are_of_the_image_and_the_purpose_alone() -> None:
    together = draw(3, "real", range(4, 8))
    assert torch.equal(together[2], draw(3, "real", [6])[0])
    assert not torch.equal(together[2], draw(3, "fake", [6])[0])
    assert not torch.equal(together[2], draw(4, "real", [6])[0])
    assert together.shape == (4, DRAWS)


def test_a_step_shows_the_discriminators_changed_pictures_alone(
    cyclegan_task: Callable[..., CycleGanTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, changed = cyclegan_task(pool=0, augment=EVERY), []

    def remember(images: Tensor, policies: list[Policy], numbers: Tensor) -> Tensor:
        changed.append((images.detach(), numbers, augment(images, policies, numbers)))
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
    assert torch.equal(old_y[0], fake_y[0])  # the same pictures, changed anew
    assert len({numbers[0, 0].item() for _, numbers, _ in changed}) == 6


def test_the_pool_keeps_pictures_as_they_were_made(cyclegan_task: Callable[..., CycleGanTask]) -> None:
    plain, varied = cyclegan_task(), cyclegan_task(augment=EVERY)
    for task in (plain, varied):
        task.step(0)
    assert torch.equal(plain.pools["Y"].images, varied.pools["Y"].images)
