"""Generator and discriminator of the vanilla GAN (Goodfellow et al. 2014), in DCGAN's convolutional form."""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class Generator(nn.Module):
    """G(z): latent noise to a digit.

    Two stride-2 transposed convolutions grow a 7x7 map to 28x28 (Radford et al. 2016, without
    the widest layers: the result must cost about a tenth of a millisecond on one core).
    """

    def __init__(self, latent: int = 64, width: int = 32) -> None:
        """`latent`: length of z. `width`: channels at 14x14; the 7x7 map has twice as many."""
        super().__init__()
        self.latent = latent
        self.project = nn.Sequential(
            nn.Linear(latent, 2 * width * 7 * 7, bias=False),
            nn.Unflatten(1, (2 * width, 7, 7)),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(inplace=True),
        )
        self.grow = nn.Sequential(
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(width, 1, 4, stride=2, padding=1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Tensor:
        """z (N, latent) from N(0, 1) -> digits (N, 1, 28, 28) in [-1, 1], ink at 1."""
        return self.grow(self.project(z))


class Discriminator(nn.Module):
    """D(x): the likelihood that x is a real digit.

    Spectral normalisation (Miyato et al. 2018) of the convolutions bounds how steep its features are, which
    keeps the generator's gradient alive when D is ahead; the last layer is free to be as sure as it likes.
    """

    def __init__(self, width: int = 64) -> None:
        """`width`: channels at 14x14; the 7x7 map has twice as many."""
        super().__init__()
        self.score = nn.Sequential(
            spectral_norm(nn.Conv2d(1, width, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2, inplace=True),
            spectral_norm(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Flatten(),
            nn.Linear(2 * width * 7 * 7, 1),
        )

    def logits(self, x: Tensor) -> Tensor:
        """x (N, 1, 28, 28) in [-1, 1] -> log(D(x) / (1 - D(x))), shape (N,). The losses start from these."""
        return self.score(x).squeeze(1)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, 1, 28, 28) in [-1, 1] -> D(x) in (0, 1), shape (N,)."""
        return torch.sigmoid(self.logits(x).float())
