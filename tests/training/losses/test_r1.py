import pytest
import torch

from training.losses.r1 import r1_penalty


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
