"""The parts of CycleGAN's objective (Zhu et al. 2017, sections 3 and 5.2), weights left to the caller."""

from typing import Literal

from torch import Tensor

from training.losses import gan

Adversarial = Literal["least_squares", "cross_entropy"]


def adversarial_loss(fake_logits: Tensor, kind: Adversarial) -> Tensor:
    """What a generator minimises. Patch logits of any shape -> scalar.

    least_squares: E[(D(G(x)) - 1)^2], D being the raw logit (Mao et al. 2017);
    cross_entropy: -E[log D(G(x))], the lecture's form.
    """
    if kind == "least_squares":
        return (fake_logits - 1).square().mean()
    return gan.non_saturating_loss(fake_logits)


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor, kind: Adversarial) -> Tensor:
    """What a discriminator minimises, halved as in section 4 to slow it down. Patch logits -> scalar >= 0.

    least_squares: (E[(D(y) - 1)^2] + E[D(G(x))^2]) / 2;
    cross_entropy: -(E[log D(y)] + E[log(1 - D(G(x)))]) / 2.
    """
    if kind == "least_squares":
        return ((real_logits - 1).square().mean() + fake_logits.square().mean()) / 2
    return gan.discriminator_loss(real_logits, fake_logits) / 2


def cycle_loss(x: Tensor, reconstruction: Tensor) -> Tensor:
    """E[|F(G(x)) - x|], equation 2, one direction. Images of one shape in [-1, 1] -> scalar in [0, 2]."""
    return (reconstruction - x).abs().mean()


def identity_loss(y: Tensor, mapped: Tensor) -> Tensor:
    """E[|G(y) - y|] for y already in G's target domain (section 5.2). Images in [-1, 1] -> scalar in [0, 2]."""
    return (mapped - y).abs().mean()


def distillation_loss(taught: Tensor, made: Tensor) -> Tensor:
    """E[|G'(x) - G(x)|] of a student G' and its teacher G. Images of one shape in [-1, 1] -> scalar in [0, 2]."""
    return (made - taught).abs().mean()
