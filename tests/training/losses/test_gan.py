from collections.abc import Callable
from math import log

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from training.losses.gan import (
    GENERATOR_LOSSES,
    discriminator_loss,
    minimax_loss,
    non_saturating_loss,
)

LN3 = log(3)  # the logit of likelihood 3/4; -LN3 is the logit of 1/4


def logits(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def gradient(loss: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    return torch.autograd.grad(loss(at), at)[0]


def test_discriminator_loss_by_hand() -> None:
    # D(x) = 3/4, 1/2 and D(G(z)) = 1/4, 1/2: -(ln 3/4 + ln 1/2) / 2 - (ln 3/4 + ln 1/2) / 2 = ln 8/3
    assert discriminator_loss(logits(LN3, 0), logits(-LN3, 0)).item() == pytest.approx(0.9808292530)


def test_discriminator_loss_is_two_ln_two_when_d_is_one_half_everywhere() -> None:
    assert discriminator_loss(torch.zeros(3, 2), torch.zeros(3, 2)).item() == pytest.approx(1.3862943611)


def test_minimax_loss_by_hand() -> None:
    # D = 3/4, 1/4: (ln 1/4 + ln 3/4) / 2 = ln(3/16) / 2
    assert minimax_loss(logits(LN3, -LN3)).item() == pytest.approx(-0.8369882168)


def test_non_saturating_loss_by_hand() -> None:
    # D = 3/4, 1/2: -(ln 3/4 + ln 1/2) / 2 = ln(8/3) / 2
    assert non_saturating_loss(logits(LN3, 0)).item() == pytest.approx(0.4904146265)


def test_discriminator_gradient_is_likelihood_minus_target() -> None:
    real, fake = logits(LN3, 0), logits(LN3, -LN3)
    on_real, on_fake = torch.autograd.grad(discriminator_loss(real, fake), (real, fake))
    assert on_real.tolist() == pytest.approx([-(1 - 0.75) / 2, -(1 - 0.5) / 2])
    assert on_fake.tolist() == pytest.approx([0.75 / 2, 0.25 / 2])


def test_minimax_gradient_is_minus_the_likelihood() -> None:
    assert gradient(minimax_loss, logits(LN3, -LN3)).tolist() == pytest.approx([-0.75 / 2, -0.25 / 2])


def test_non_saturating_gradient_is_minus_what_the_likelihood_lacks() -> None:
    assert gradient(non_saturating_loss, logits(LN3, -LN3)).tolist() == pytest.approx([-0.25 / 2, -0.75 / 2])


@pytest.mark.parametrize("name", GENERATOR_LOSSES)
def test_generator_gradient_agrees_with_finite_differences(name: str) -> None:
    assert gradcheck(GENERATOR_LOSSES[name], logits(-6, -0.5, 0, 2))


def test_discriminator_gradient_agrees_with_finite_differences() -> None:
    assert gradcheck(discriminator_loss, (logits(-6, 0, 2), logits(-1, 0.5, 7)))


@pytest.mark.parametrize("name", GENERATOR_LOSSES)
@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_generator_loss_and_gradient_are_finite_where_the_likelihood_rounds_to_0_or_1(name: str, logit: float) -> None:
    extreme = torch.tensor([logit], requires_grad=True)
    assert torch.sigmoid(extreme).item() in (0, 1)
    loss = GENERATOR_LOSSES[name](extreme)
    assert torch.isfinite(loss)
    assert torch.isfinite(torch.autograd.grad(loss, extreme)[0]).all()


def test_discriminator_loss_of_a_sure_and_wrong_discriminator_is_finite() -> None:
    real, fake = torch.tensor([-1e4], requires_grad=True), torch.tensor([1e4], requires_grad=True)
    loss = discriminator_loss(real, fake)
    assert loss.item() == 2e4
    assert [g.item() for g in torch.autograd.grad(loss, (real, fake))] == [-1, 1]


def test_discriminator_loss_of_a_sure_and_right_discriminator_is_zero() -> None:
    assert discriminator_loss(torch.tensor([1e4]), torch.tensor([-1e4])).item() == 0


def test_non_saturating_gradient_dwarfs_minimax_while_the_discriminator_wins() -> None:
    winning = logits(-10)
    assert gradient(non_saturating_loss, winning) / gradient(minimax_loss, winning) > 1e4


def test_both_generator_losses_push_the_logits_up() -> None:
    extreme = logits(-10, -1, 0, 1, 10)
    assert (gradient(non_saturating_loss, extreme) < 0).all()
    assert (gradient(minimax_loss, extreme) < 0).all()


@pytest.mark.parametrize("name", GENERATOR_LOSSES)
def test_a_generator_loss_falls_as_the_discriminator_is_fooled(name: str) -> None:
    loss = GENERATOR_LOSSES[name]
    assert loss(logits(-2)) > loss(logits(0)) > loss(logits(2))
