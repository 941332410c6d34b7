"""The terms of CycleGAN's objective (Zhu et al. 2017, sections 3 and 5.2), without their weights."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, relu

from training.losses import gan

Adversarial = Literal["least_squares", "cross_entropy", "hinge"]
CHANGE_SCALE, CHANGE_CELL = 0.1, 8
"""Change, on the scale of [-1, 1], from which more of it costs little; and side of a cell in pixels."""


def adversarial_loss(fake_logits: Tensor, kind: Adversarial) -> Tensor:
    """What a generator minimises. Logits of any shape -> scalar.

    least_squares: E[(D(G(x)) - 1)^2], D being the raw logit (Mao et al. 2017);
    cross_entropy: -E[log D(G(x))], the lecture's form; hinge: -E[D(G(x))] (Lim and Ye 2017).
    """
    if kind == "least_squares":
        return (fake_logits - 1).square().mean()
    if kind == "hinge":
        return -fake_logits.mean()
    return gan.non_saturating_loss(fake_logits)


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor, kind: Adversarial) -> Tensor:
    """What a discriminator minimises, halved as in section 4 to slow it down. Logits of any shape -> scalar >= 0.

    least_squares: (E[(D(y) - 1)^2] + E[D(G(x))^2]) / 2;
    cross_entropy: -(E[log D(y)] + E[log(1 - D(G(x)))]) / 2;
    hinge: (E[max(0, 1 - D(y))] + E[max(0, 1 + D(G(x)))]) / 2.
    """
    if kind == "least_squares":
        return ((real_logits - 1).square().mean() + fake_logits.square().mean()) / 2
    if kind == "hinge":
        return (relu(1 - real_logits).mean() + relu(1 + fake_logits).mean()) / 2
    return gan.discriminator_loss(real_logits, fake_logits) / 2


def cycle_loss(x: Tensor, reconstruction: Tensor) -> Tensor:
    """E[|F(G(x)) - x|], equation 2, one direction. Images of one shape in [-1, 1] -> scalar in [0, 2]."""
    return (reconstruction - x).abs().mean()


def identity_loss(y: Tensor, mapped: Tensor) -> Tensor:
    """E[|G(y) - y|] for y already in G's target domain (section 5.2). Images in [-1, 1] -> scalar in [0, 2]."""
    return (mapped - y).abs().mean()


def change_loss(x: Tensor, translation: Tensor) -> Tensor:
    """E[s log(1 + d / s)], d being the mean |G(x) - x| of a cell of 8 x 8 pixels and s = 0.1.

    Images of one shape in [-1, 1] -> scalar in [0, 0.31]. The logarithm asks for few cells that change much instead of
    many that change little (a robust norm, as in Black and Rangarajan 1996): an animal may, its background should not.
    """
    cells = avg_pool2d((translation - x).abs().mean(1, keepdim=True), CHANGE_CELL, ceil_mode=True)
    return CHANGE_SCALE * torch.log1p(cells / CHANGE_SCALE).mean()


def distillation_loss(taught: Tensor, made: Tensor) -> Tensor:
    """E[|G'(x) - G(x)|] of a student G' and its teacher G. Images of one shape in [-1, 1] -> scalar in [0, 2]."""
    return (made - taught).abs().mean()
