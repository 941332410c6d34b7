"""Fits the digits' GAN against a projected discriminator (Sauer et al. 2021), to compare it with the usual recipe.

    .venv/bin/python -m benchmarks.fitting.projected_digits --data data --weights weights --out runs/projected-digits
    .venv/bin/gan-train gan --clusters 64 --images 200000 --out runs/usual-digits
    .venv/bin/gan-train evaluate runs/projected-digits --weights weights      # and the same for runs/usual-digits

The generator, its clusters and its moving average are those of the usual recipe. The discriminator sees digits
enlarged to 64 x 64 through the frozen features of EfficientNet-Lite0, with the hinge loss, and is not told clusters.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from training import rng
from training.config.gan import GanConfig
from training.data.mnist import Digits, load_mnist
from training.distributed import World
from training.loop import fit
from training.losses import cyclegan as losses
from training.networks.efficientnet_lite import EfficientNetLite0
from training.networks.pretrained import load_efficientnet
from training.networks.projected import ProjectedDiscriminator
from training.run import choose_precision
from training.tasks.gan import GanTask

SIDE = 64
"""Side of what the discriminator sees: the feature network's strides divide it."""
RATES = {"generator": 4e-4, "discriminator": 4e-4}
BETAS = (0.0, 0.99)


class ProjectedGanTask(GanTask):
    """The digits' generator against a projected discriminator."""

    def __init__(self, config: GanConfig, digits: Digits, precision: torch.dtype, features: EfficientNetLite0) -> None:
        super().__init__(config, digits, World(), precision, watch=None)
        with rng.seeded(config.seed, "projected"):
            self.projected = self.to_device(ProjectedDiscriminator(self.to_device(features)))
        self.networks["discriminator"] = self.projected
        for name, rate in RATES.items():
            self.add_optimiser(name, self.networks[name], rate=rate, betas=BETAS)

    def step(self, first: int) -> dict[str, Tensor]:
        """One discriminator and one generator update."""
        real, _ = self.digits.batch(first, self.config.batch, self.config.seed, self.world)
        noise = torch.randn(len(real), self.config.latent, generator=rng.generator(self.config.seed, "z", first))
        with self.autocast():
            fake = self.generator(noise, None)
            scales = zip(self.judge(real), self.judge(fake.detach()), strict=True)
        parts = [losses.discriminator_loss(r.float(), f.float(), "hinge") for r, f in scales]
        d_loss = torch.stack(parts).mean()
        self.descend("discriminator", d_loss)
        self.projected.requires_grad_(False)
        with self.autocast():
            logits = self.judge(fake)
        g_loss = torch.stack([losses.adversarial_loss(scale.float(), "hinge") for scale in logits]).mean()
        self.descend("generator", g_loss)
        self.projected.heads.requires_grad_(True)
        return {"discriminator_loss": d_loss.detach(), "generator_loss": g_loss.detach()}

    def judge(self, digits: Tensor) -> list[Tensor]:
        """Digits (N, 1, 28, 28) in [-1, 1] -> logits of each scale."""
        large = interpolate(digits.float(), size=(SIDE, SIDE), mode="bilinear")
        return self.projected.logits(large.expand(-1, 3, -1, -1))


def main() -> None:
    """Fits; a second run goes on where the first one stopped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--weights", type=Path, default=Path("weights"))
    parser.add_argument("--out", type=Path, default=Path("runs/projected-digits"))
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    config = GanConfig(data=given.data, out=given.out, images=given.images, clusters=64, regulariser="none")
    precision = choose_precision("auto", torch.device("cpu"))
    fit(ProjectedGanTask(config, load_mnist(given.data), precision, load_efficientnet(given.weights)))


if __name__ == "__main__":
    main()
