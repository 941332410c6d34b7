"""R1, the penalty on a discriminator's gradient at real images (Mescheder et al. 2018)."""

import torch
from torch import Tensor


def r1_penalty(real_logits: Tensor, images: Tensor) -> Tensor:
    """E[|dD/dx|^2] / 2 over real `images` (N, ...), D the logit (N,) (equation 9). Scalar >= 0.

    `images` must require gradients and `real_logits` be computed from them. The result can be differentiated again.
    """
    (gradient,) = torch.autograd.grad(real_logits.sum(), images, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean() / 2
