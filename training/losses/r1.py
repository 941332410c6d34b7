"""R1, the penalty that keeps a discriminator smooth about real images (Mescheder et al. 2018)."""

import torch
from torch import Tensor


def r1_penalty(real_logits: Tensor, images: Tensor) -> Tensor:
    """E[|dD/dx|^2] / 2 over real `images` (N, ...), D the logit (equation 9). Scalar >= 0.

    `images` must require gradients and `real_logits` come from them: (N,), or (N, 1, h, w) of patches, whose summed
    logit's squared gradient is divided by their number, so that it does not grow with the picture. The result can be
    differentiated again.
    """
    (gradient,) = torch.autograd.grad(real_logits.sum(), images, create_graph=True)
    patches = real_logits[0].numel()
    return gradient.square().flatten(1).sum(1).mean() / patches / 2
