from math import log

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from training.losses.cyclegan import (
    Adversarial,
    adversarial_loss,
    change_loss,
    cycle_loss,
    discriminator_loss,
    distillation_loss,
    identity_loss,
)

LN3 = log(3)  # the logit of likelihood 3/4
KINDS: tuple[Adversarial, ...] = ("least_squares", "cross_entropy", "hinge")


def patches(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(1, 1, 1, -1).requires_grad_()


def test_least_squares_adversarial_loss_by_hand() -> None:
    # ((0 - 1)^2 + (3 - 1)^2) / 2
    assert adversarial_loss(patches(0, 3), "least_squares").item() == 2.5


def test_cross_entropy_adversarial_loss_by_hand() -> None:
    # -(ln 3/4 + ln 1/2) / 2 = ln(8/3) / 2
    assert adversarial_loss(patches(LN3, 0), "cross_entropy").item() == pytest.approx(0.4904146265)


def test_hinge_adversarial_loss_by_hand() -> None:
    # -(0.5 - 2) / 2
    assert adversarial_loss(patches(0.5, -2), "hinge").item() == 0.75


def test_hinge_discriminator_loss_by_hand() -> None:
    # ((0 + 0.5 + 2) / 3 + (0 + 1.25) / 2) / 2: real ones above 1 and fake ones below -1 cost nothing
    loss = discriminator_loss(patches(3, 0.5, -1), patches(-4, 0.25), "hinge")
    assert loss.item() == pytest.approx((2.5 / 3 + 1.25 / 2) / 2)


def test_hinge_gradients_by_hand() -> None:
    fake = patches(0.5, -2)
    gradient = torch.autograd.grad(adversarial_loss(fake, "hinge"), fake)[0]
    assert gradient.flatten().tolist() == [-1 / 2, -1 / 2]
    real = patches(3, 0.5)
    gradients = torch.autograd.grad(discriminator_loss(real, fake, "hinge"), (real, fake))
    assert [g.flatten().tolist() for g in gradients] == [[0, -1 / 4], [1 / 4, 0]]


def test_least_squares_discriminator_loss_by_hand() -> None:
    # (((1 - 1)^2 + (0 - 1)^2) / 2 + (2^2 + 0^2) / 2) / 2
    assert discriminator_loss(patches(1, 0), patches(2, 0), "least_squares").item() == 1.25


def test_cross_entropy_discriminator_loss_by_hand() -> None:
    # D(y) = 3/4, D(G(x)) = 1/2: -(ln 3/4 + ln 1/2) / 2 = ln(8/3) / 2
    assert discriminator_loss(patches(LN3), patches(0), "cross_entropy").item() == pytest.approx(0.4904146265)


def test_cross_entropy_discriminator_loss_at_one_half_is_ln_two() -> None:
    assert discriminator_loss(patches(0, 0), patches(0, 0), "cross_entropy").item() == pytest.approx(0.6931471806)


def test_least_squares_discriminator_loss_vanishes_at_its_targets() -> None:
    assert discriminator_loss(patches(1, 1), patches(0, 0), "least_squares").item() == 0


@pytest.mark.parametrize("loss", [cycle_loss, identity_loss, distillation_loss])
def test_distance_between_images_by_hand(loss) -> None:
    x, y = torch.tensor([[[[-1.0, 0.5], [0.0, 1.0]]]]), torch.tensor([[[[1.0, 0.25], [0.0, 0.25]]]])
    assert loss(x, y).item() == 0.75  # (2 + 1/4 + 0 + 3/4) / 4


@pytest.mark.parametrize("loss", [cycle_loss, identity_loss, distillation_loss])
def test_distance_between_images_is_two_at_most_and_zero_at_equality(loss) -> None:
    white = torch.ones(2, 3, 4, 4)
    assert loss(white, -white).item() == 2
    assert loss(white, white).item() == 0


def test_the_change_of_a_cell_counts_by_its_logarithm() -> None:
    x = torch.zeros(1, 3, 16, 8)
    made = x.clone()
    made[..., :8, :] = 0.3  # one cell of two
    assert change_loss(x, made).item() == pytest.approx(0.1 * log(1 + 0.3 / 0.1) / 2)
    assert change_loss(x, x).item() == 0


def test_a_little_change_everywhere_costs_more_than_the_same_change_in_one_place() -> None:
    x = torch.zeros(1, 3, 32, 32)
    everywhere, somewhere = torch.full_like(x, 0.1), x.clone()
    somewhere[..., :16, :16] = 0.4
    assert everywhere.mean() == somewhere.mean()
    assert change_loss(x, everywhere) > 1.5 * change_loss(x, somewhere)


def test_least_squares_adversarial_gradient_is_twice_the_error() -> None:
    logits = patches(0, 3)
    gradient = torch.autograd.grad(adversarial_loss(logits, "least_squares"), logits)[0]
    assert gradient.flatten().tolist() == [2 * (0 - 1) / 2, 2 * (3 - 1) / 2]


def test_cross_entropy_adversarial_gradient_is_minus_what_the_likelihood_lacks() -> None:
    logits = patches(LN3, 0)
    gradient = torch.autograd.grad(adversarial_loss(logits, "cross_entropy"), logits)[0]
    assert gradient.flatten().tolist() == pytest.approx([-0.25 / 2, -0.5 / 2])


def test_least_squares_discriminator_gradient_is_the_error() -> None:
    real, fake = patches(0.5), patches(3)
    gradients = torch.autograd.grad(discriminator_loss(real, fake, "least_squares"), (real, fake))
    assert [g.item() for g in gradients] == [0.5 - 1, 3]  # the half cancels the square's two


def test_cross_entropy_discriminator_gradient_is_half_of_likelihood_minus_target() -> None:
    real, fake = patches(LN3), patches(LN3)
    gradients = torch.autograd.grad(discriminator_loss(real, fake, "cross_entropy"), (real, fake))
    assert [g.item() for g in gradients] == pytest.approx([-0.25 / 2, 0.75 / 2])


def test_cycle_gradient_is_the_sign_of_the_error() -> None:
    x, again = patches(0, 0.5), patches(0.25, -1)
    gradient = torch.autograd.grad(cycle_loss(x, again), again)[0]
    assert gradient.flatten().tolist() == [1 / 2, -1 / 2]


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_agree_with_finite_differences(kind: Adversarial) -> None:
    assert gradcheck(lambda fake: adversarial_loss(fake, kind), patches(-6, -0.5, 0, 2))
    assert gradcheck(
        lambda real, fake: discriminator_loss(real, fake, kind), (patches(-6, 0, 2), patches(-1.5, 0.5, 7))
    )


@pytest.mark.parametrize("loss", [cycle_loss, identity_loss, distillation_loss])
def test_distance_gradients_agree_with_finite_differences(loss) -> None:
    assert gradcheck(loss, (patches(0.5, -1, 0.25), patches(-0.5, 1, 0.75)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_losses_and_gradients_are_finite_at_extreme_logits(kind: Adversarial, logit: float) -> None:
    logits = torch.full((1, 1, 2, 2), logit, requires_grad=True)
    for loss in (adversarial_loss(logits, kind), discriminator_loss(logits, logits, kind)):
        assert torch.isfinite(loss)
        assert torch.isfinite(torch.autograd.grad(loss, logits)[0]).all()
