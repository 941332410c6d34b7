"""Generator and discriminator of the vanilla GAN (Goodfellow et al. 2014), in DCGAN's convolutional form."""

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.nn.utils.parametrizations import spectral_norm


class Generator(nn.Module):
    """G(z): latent noise to a digit; G(z, y) to the digit y (Mirza and Osindero 2014).

    Two stride-2 transposed convolutions grow a 7x7 map to 28x28 (Radford et al. 2016, without
    the widest layers: the result must cost about a tenth of a millisecond on one core).
    With `clusters`, the first number of z chooses one of that many clusters of digits, each as often as the data has
    it, and the rest of z varies the digit: digits lie on separate manifolds, which a continuous map of z alone joins.
    """

    thresholds: Tensor
    """(clusters - 1,), ascending: z's cluster is the number of thresholds below its first number."""

    def __init__(self, latent: int = 64, width: int = 32, classes: int = 0, clusters: int = 0) -> None:
        """`latent`: length of z. `width`: channels at 14x14; the 7x7 map has twice as many.

        `classes`: number of labels that can be asked for, 0 for none. `clusters`: number of clusters that z chooses
        from, 0 for none; with equal shares until `set_shares` is called.
        """
        super().__init__()
        self.latent, self.classes, self.clusters = latent, classes, clusters
        if clusters:
            self.register_buffer("thresholds", torch.empty(clusters - 1))
            self.set_shares(torch.full((clusters,), 1 / clusters))
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
            nn.ConvTranspose2d(width, 1, 4, stride=2, padding=1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """z (N, latent) from N(0, 1), label int64 (N,) with `classes` -> (N, 1, 28, 28) in [-1, 1], ink at 1."""
        if self.clusters:
            z = torch.cat([z[:, 1:], one_hot(self.cluster(z), self.clusters).to(z.dtype)], dim=1)
        if label is not None:
            z = torch.cat([z, one_hot(label, self.classes).to(z.dtype)], dim=1)
        return self.grow(self.project(z))

    def set_shares(self, shares: Tensor) -> None:
        """Makes z choose cluster k in a share `shares[k]` of its draws; (clusters,), positive, of sum 1."""
        self.thresholds.copy_(torch.special.ndtri(shares.double().cumsum(0)[:-1]))

    def cluster(self, z: Tensor) -> Tensor:
        """z (N, latent) -> the cluster that each chooses, int64 (N,)."""
        return (z[:, :1] > self.thresholds).sum(1)


class Discriminator(nn.Module):
    """D(x): the likelihood that x is a real digit; D(x, y) that it is a real y.

    A label enters by projection on the features (Miyato and Koyama 2018).
    """

    def __init__(self, width: int = 64, classes: int = 0, spectral: bool = False) -> None:
        """`width`: channels at 14x14; the 7x7 map has twice as many. `classes`: number of labels, 0 for none.

        `spectral`: spectral normalisation (Miyato et al. 2018) of the convolutions; the last layer stays unbounded.
        """
        super().__init__()
        bounded = spectral_norm if spectral else nn.Identity()
        self.features = nn.Sequential(
            bounded(nn.Conv2d(1, width, 4, stride=2, padding=1)),
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
        """x (N, 1, 28, 28) in [-1, 1] -> log(D / (1 - D)), shape (N,). The losses start from these."""
        features = self.features(x)
        logits = self.score(features).squeeze(1)
        if self.classes is not None and label is not None:
            logits = logits + (self.classes(label) * features).sum(1)
        return logits

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """x (N, 1, 28, 28) in [-1, 1] -> D in (0, 1), shape (N,)."""
        return torch.sigmoid(self.logits(x, label).float())
