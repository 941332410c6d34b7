"""The two-player objective of Goodfellow et al. 2014, section 3, written on logits.

With a = log(D / (1 - D)) the logit of the discriminator's likelihood D,
log D = -softplus(-a) and log(1 - D) = -softplus(a): finite wherever a is, where log(sigmoid(a))
would already be -inf.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

GeneratorLoss = Literal["minimax", "non_saturating"]


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-(E[log D(x)] + E[log(1 - D(G(z)))]), what D minimises (algorithm 1). Logits of any shape -> scalar >= 0."""
    return softplus(-real_logits).mean() + softplus(fake_logits).mean()


def minimax_loss(fake_logits: Tensor) -> Tensor:
    """E[log(1 - D(G(z)))], what G minimises in the game's value function (equation 1). Scalar <= 0.

    Its gradient with respect to the logit is -D(G(z)): nothing to learn from while D wins.
    """
    return -softplus(fake_logits).mean()


def non_saturating_loss(fake_logits: Tensor) -> Tensor:
    """-E[log D(G(z))], section 3's substitute: the same fixed point, gradient -(1 - D(G(z))). Scalar >= 0."""
    return softplus(-fake_logits).mean()


def r1_penalty(real_logits: Tensor, images: Tensor) -> Tensor:
    """E[|dD/dx|^2] / 2 over real `images` (N, ...), D the logit (Mescheder et al. 2018, equation 9). Scalar >= 0.

    `images` must require gradients and `real_logits` (N,) come from them; the result can be differentiated again.
    """
    (gradient,) = torch.autograd.grad(real_logits.sum(), images, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean() / 2


GENERATOR_LOSSES = {"minimax": minimax_loss, "non_saturating": non_saturating_loss}
