"""The two-player objective of Goodfellow et al. 2014, section 3, written on logits.

With a = log(D / (1 - D)) the logit of the discriminator's likelihood D,
log D = -softplus(-a) and log(1 - D) = -softplus(a): finite wherever a is, where log(sigmoid(a))
would already be -inf.
"""

from typing import Literal

from torch import Tensor
from torch.nn.functional import softplus

GeneratorLoss = Literal["minimax", "non_saturating"]


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """-(E[log D(x)] + E[log(1 - D(G(z)))]), what D minimises (algorithm 1). Logits of any shape -> scalar >= 0."""
    return softplus(-real_logits).mean() + softplus(fake_logits).mean()


def minimax_loss(fake_logits: Tensor) -> Tensor:
    """E[log(1 - D(G(z)))], what G minimises in the game's value function (equation 1). Scalar <= 0.

    Its gradient with respect to the logit is -D(G(z)), which vanishes while D wins.
    """
    return -softplus(fake_logits).mean()


def non_saturating_loss(fake_logits: Tensor) -> Tensor:
    """-E[log D(G(z))], section 3's substitute: the same fixed point, gradient -(1 - D(G(z))). Scalar >= 0."""
    return softplus(-fake_logits).mean()


GENERATOR_LOSSES = {"minimax": minimax_loss, "non_saturating": non_saturating_loss}
