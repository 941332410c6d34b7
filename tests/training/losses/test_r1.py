import pytest
import torch

from training.losses.r1 import r1_penalty
from training.networks.cyclegan import Discriminator


def test_r1_is_half_the_mean_squared_gradient() -> None:
    weight = torch.tensor([3.0, -4.0])  # a linear D has the same gradient everywhere: 25 squared length
    images = torch.randn(5, 1, 1, 2, requires_grad=True)
    assert r1_penalty(images.flatten(1) @ weight, images).item() == pytest.approx(12.5)


def test_r1_weighs_each_image_by_its_own_gradient() -> None:
    images = torch.tensor([[1.0], [2.0]], requires_grad=True)  # of x^2: gradients 2 and 4
    assert r1_penalty(images.square().sum(1), images).item() == pytest.approx((4 + 16) / 2 / 2)


def test_r1_pulls_the_discriminator_flat() -> None:
    weight = torch.tensor([3.0, -4.0], requires_grad=True)
    images = torch.randn(5, 2, requires_grad=True)
    r1_penalty(images @ weight, images).backward()
    assert torch.allclose(weight.grad, weight)


@pytest.mark.parametrize("side", [48, 96])
def test_r1_of_patches_does_not_grow_with_the_picture(side: int) -> None:
    def penalty(side: int) -> float:
        images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
        sliding = torch.nn.functional.conv2d(images, torch.ones(1, 3, 4, 4), stride=4)  # patches that do not overlap
        return r1_penalty(sliding, images).item()

    assert penalty(side) == pytest.approx(3 * 4 * 4 / 2)


def test_r1_reaches_every_weight_of_a_patch_discriminator() -> None:
    discriminator = Discriminator(2)
    images = torch.rand(1, 3, 48, 48, requires_grad=True)
    r1_penalty(discriminator.logits(images), images).backward()
    weights = {name: p.grad for name, p in discriminator.named_parameters() if name.endswith("weight")}
    assert all(gradient is not None and gradient.abs().max() > 0 for gradient in weights.values())
