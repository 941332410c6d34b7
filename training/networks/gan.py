"""Generator and discriminator of the vanilla GAN (Goodfellow et al. 2014), in DCGAN's convolutional form."""

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.nn.utils.parametrizations import spectral_norm


class Generator(nn.Module):
    """G(z): latent noise to a digit; G(z, y) to the digit y (Mirza and Osindero 2014).

    Two stride-2 transposed convolutions grow a 7x7 map to 28x28 (Radford et al. 2016, without
    the widest layers: the result must cost about a tenth of a millisecond on one core).
    With `clusters`, the first number of z chooses one of so many kinds of digit, each as often as the data has it,
    and the rest of z varies it: digits lie on separate pieces, which a continuous map of z alone can but smear over.
    """

    thresholds: Tensor
    """Above how many of these the first number of z lies, is its cluster."""

    def __init__(
        self, latent: int = 64, width: int = 32, classes: int = 0, channels: int = 1, clusters: int = 0
    ) -> None:
        """`latent`: length of z. `width`: channels at 14x14; the 7x7 map has twice as many.

        `classes`: how many labels can be asked for, 0 for none. `channels`: of the picture. `clusters`: how many kinds
        z chooses from, 0 for none; equally often until `share_out` is told otherwise.
        """
        super().__init__()
        self.latent, self.classes, self.clusters = latent, classes, clusters
        if clusters:
            self.register_buffer("thresholds", torch.empty(clusters - 1))
            self.share_out(torch.full((clusters,), 1 / clusters))
            latent += clusters - 1
        self.project = nn.Sequential(
            nn.Linear(latent + classes, 2 * width * 7 * 7, bias=False),
            nn.Unflatten(1, (2 * width, 7, 7)),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(inplace=True),
        )
        self.grow = nn.Sequential(
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """z (N, latent) from N(0, 1), label int64 (N,) with `classes` -> (N, channels, 28, 28) in [-1, 1], ink at 1."""
        if self.clusters:
            z = torch.cat([z[:, 1:], one_hot(self.cluster(z), self.clusters).to(z.dtype)], dim=1)
        if label is not None:
            z = torch.cat([z, one_hot(label, self.classes).to(z.dtype)], dim=1)
        return self.grow(self.project(z))

    def share_out(self, shares: Tensor) -> None:
        """Makes z choose cluster k in shares[k] of its draws: `shares` (clusters,), positive, of sum 1."""
        self.thresholds.copy_(torch.special.ndtri(shares.double().cumsum(0)[:-1]))

    def cluster(self, z: Tensor) -> Tensor:
        """z (N, latent) -> int64 (N,), the cluster that each chooses."""
        return (z[:, :1] > self.thresholds).sum(1)


class Discriminator(nn.Module):
    """D(x): the likelihood that x is a real digit; D(x, y) that it is a real y.

    A label enters by projection on the features (Miyato and Koyama 2018).
    """

    def __init__(self, width: int = 64, classes: int = 0, channels: int = 1, spectral: bool = False) -> None:
        """`width`: channels at 14x14; the 7x7 map has twice as many. `classes`, `channels`: as the generator's.

        `spectral`: spectral normalisation (Miyato et al. 2018) of the convolutions, which bounds how steep the
        features are; the last layer is free to be as sure as it likes.
        """
        super().__init__()
        bounded = spectral_norm if spectral else nn.Identity()
        self.features = nn.Sequential(
            bounded(nn.Conv2d(channels, width, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2, inplace=True),
            bounded(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Flatten(),
        )
        self.score = nn.Linear(2 * width * 7 * 7, 1)
        self.classes = nn.Embedding(classes, 2 * width * 7 * 7) if classes else None
        if self.classes is not None:
            nn.init.normal_(self.classes.weight, 0.0, self.classes.embedding_dim**-0.5)

    def logits(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """x (N, channels, 28, 28) in [-1, 1] -> log(D / (1 - D)), shape (N,). The losses start from these."""
        features = self.features(x)
        logits = self.score(features).squeeze(1)
        if self.classes is not None and label is not None:
            logits = logits + (self.classes(label) * features).sum(1)
        return logits

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """x (N, channels, 28, 28) in [-1, 1] -> D in (0, 1), shape (N,)."""
        return torch.sigmoid(self.logits(x, label).float())
