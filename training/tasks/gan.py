"""The vanilla GAN on MNIST as a task (Goodfellow et al. 2014, algorithm 1 with one discriminator step)."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from training import rng
from training.config.gan import GanConfig
from training.data.clusters import cluster
from training.data.mnist import CLASSES, Digits
from training.distributed import World
from training.images import tile, to_uint8
from training.losses.gan import GENERATOR_LOSSES, discriminator_loss
from training.losses.r1 import r1_penalty
from training.metrics.modes import histogram
from training.networks.gan import Discriminator, Generator
from training.tasks import ema
from training.tasks.base import Task
from training.tasks.collapse_watch import CollapseWatch


class GanTask(Task):
    """G against D; D(x) and D(G(z)) go to 1 and 0 when D wins, to 1/2 at the balance."""

    name = "gan"
    config: GanConfig

    def __init__(
        self, config: GanConfig, digits: Digits, world: World, precision: torch.dtype, watch: CollapseWatch | None
    ) -> None:
        """`watch` looks at samples once a tick; with None mode collapse goes unreported."""
        super().__init__(config, world, precision)
        self.watch = watch
        self.dataset = {"name": "MNIST, training set", "sha256": digits.sha256}
        if config.clusters:
            digits = replace(digits, labels=cluster(digits.images, config.clusters, config.seed))
        self.digits, self.classes = digits, CLASSES if config.conditional else 0
        with rng.seeded(config.seed, "weights"):
            generator = Generator(config.latent, config.width, self.classes, config.clusters)
            spectral, kinds = config.regulariser == "spectral", config.clusters or self.classes
            discriminator = self.to_device(Discriminator(config.discriminator_width, kinds, spectral))
        if config.clusters:
            generator.set_shares(histogram(digits.labels, config.clusters))
        generator = self.to_device(generator)
        self.networks = {"generator": generator, "discriminator": discriminator}
        self.averages = {"generator": ema.averaged_copy(generator)}
        self.add_optimiser("generator", generator, rate=config.rate)
        self.add_optimiser("discriminator", discriminator, rate=config.discriminator_rate)
        self.generator, self.logits = self.compiled(generator), self.compiled(discriminator.logits)
        self.cluster = generator.cluster
        self.uncompiled_logits = discriminator.logits  # for R1: compiled code has no second derivatives
        self.loss = GENERATOR_LOSSES[config.loss]
        self.fixed_z = torch.randn(100, config.latent, generator=rng.generator(config.seed, "fixed z"))

    def step(self, first: int) -> dict[str, Tensor]:
        """One discriminator and one generator update."""
        config, world, batch = self.config, self.world, self.config.batch
        real, drawn_label = self.digits.batch(first, batch, config.seed, world)
        noise = torch.randn(batch, config.latent, generator=rng.generator(config.seed, "z", first))
        share = world.share(batch)
        noise, asked = noise[share.start : share.stop].to(world.device), drawn_label if self.classes else None
        real_label = drawn_label if config.clusters else asked
        fake_label = self.cluster(noise) if config.clusters else asked
        with self.autocast():
            fake = self.generator(noise, asked)

        # Discriminator: ascend E log D(x) + E log(1 - D(G(z)))
        both = None if real_label is None or fake_label is None else torch.cat([real_label, fake_label])
        with self.autocast():
            real_logits, fake_logits = self.logits(torch.cat([real, fake.detach()]), both).float().chunk(2)
        d_loss = discriminator_loss(real_logits, fake_logits)
        total, penalty = d_loss, {}
        if config.regulariser == "r1" and first // batch % config.r1_every == 0:
            real.requires_grad_(True)
            penalty["r1_penalty"] = r1_penalty(self.uncompiled_logits(real, real_label), real)
            total = total + config.r1_weight * config.r1_every * penalty["r1_penalty"]
        self.descend("discriminator", total)

        # Generator: against the discriminator just improved
        self.networks["discriminator"].requires_grad_(False)
        with self.autocast():
            improved_logits = self.logits(fake, fake_label).float()
        g_loss = self.loss(improved_logits)
        self.descend("generator", g_loss)
        self.networks["discriminator"].requires_grad_(True)
        for buffer in self.networks["generator"].buffers():  # batch statistics, which differ between processes
            if buffer.is_floating_point():
                buffer.copy_(world.average(buffer))

        return {
            "discriminator_loss": d_loss.detach(),
            "generator_loss": g_loss.detach(),
            "likelihood_real": torch.sigmoid(real_logits.detach()).mean(),
            "likelihood_fake": torch.sigmoid(fake_logits.detach()).mean(),
            **{name: value.detach() for name, value in penalty.items()},
        }

    @torch.no_grad()
    def generate(self, z: Tensor) -> Tensor:
        """z (N, latent) -> digits of the averaged generator, uint8 (N, 1, 28, 28) on the CPU; labels cycle 0 to 9."""
        device = self.world.device
        label = torch.arange(len(z), device=device) % CLASSES if self.classes else None
        return to_uint8(self.averages["generator"](z.to(device), label)).cpu()

    def sample_grid(self) -> Tensor:
        """The digits of 100 fixed z, ten a row."""
        return tile(self.generate(self.fixed_z), columns=10)

    def inspect(self, images: int) -> tuple[dict[str, float], str | None]:
        """Histogram figures of 1,000 fresh digits, and a warning if the generator has collapsed."""
        if self.watch is None:
            return {}, None
        z = torch.randn(1000, self.config.latent, generator=rng.generator(self.config.seed, "watch", images))
        return self.watch.look(self.generate(z), images)

    def state(self) -> dict[str, Any]:
        """The state that every task saves, and the number of bad ticks in the collapse watch."""
        return {**super().state(), "bad_ticks": self.watch.bad_ticks if self.watch else 0}

    def restore(self, state: dict[str, Any]) -> None:
        """Restores what `state` returned."""
        super().restore(state)
        if self.watch:
            self.watch.bad_ticks = state["bad_ticks"]
