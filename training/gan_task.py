"""The vanilla GAN on MNIST as a task (Goodfellow et al. 2014, algorithm 1 with one discriminator step)."""

import torch
from torch import Tensor

from training import ema, randomness
from training.collapse import CollapseWatch
from training.config import GanConfig
from training.data.mnist import Digits
from training.data.pixels import to_uint8
from training.distributed import World
from training.grid import tile
from training.losses.gan import GENERATOR_LOSSES, discriminator_loss
from training.networks.gan import Discriminator, Generator
from training.task import Task


class GanTask(Task):
    """G against D; D(x) and D(G(z)) go to 1 and 0 when D wins, to 1/2 at the balance."""

    name = "gan"

    def __init__(
        self, config: GanConfig, digits: Digits, world: World, precision: torch.dtype, watch: CollapseWatch | None
    ) -> None:
        """`watch` judges samples once a tick; None leaves collapse unwatched."""
        super().__init__(config, world, precision)
        self.settings, self.digits, self.watch = config, digits, watch
        self.dataset = {"name": "MNIST, training set", "sha256": digits.sha256}
        with randomness.seeded(config.seed, "weights"):
            generator = self.adopt(Generator(config.latent, config.width))
            discriminator = self.adopt(Discriminator(config.discriminator_width))
        self.networks = {"generator": generator, "discriminator": discriminator}
        self.averages = {"generator": ema.averaged_copy(generator)}
        self.add_optimiser("generator", generator, rate=config.rate)
        self.add_optimiser("discriminator", discriminator, rate=config.discriminator_rate)
        self.generator, self.judge = self.compiled(generator), self.compiled(discriminator.logits)
        self.loss = GENERATOR_LOSSES[config.loss]
        self.fixed_z = torch.randn(100, config.latent, generator=randomness.generator(config.seed, "fixed z"))

    def step(self, first: int) -> dict[str, Tensor]:
        """One discriminator and one generator update."""
        batch, world = self.config.batch, self.world
        real = self.digits.batch(first, batch, self.config.seed, world)
        noise = torch.randn(batch, self.settings.latent, generator=randomness.generator(self.config.seed, "z", first))
        share = world.share(batch)
        with self.autocast():
            fake = self.generator(noise[share.start : share.stop].to(world.device))

        # Discriminator: ascend E log D(x) + E log(1 - D(G(z)))
        with self.autocast():
            real_logits, fake_logits = self.judge(torch.cat([real, fake.detach()])).float().chunk(2)
        d_loss = discriminator_loss(real_logits, fake_logits)
        self.descend("discriminator", d_loss)

        # Generator: against the discriminator just improved
        self.networks["discriminator"].requires_grad_(False)
        with self.autocast():
            judged = self.judge(fake).float()
        g_loss = self.loss(judged)
        self.descend("generator", g_loss)
        self.networks["discriminator"].requires_grad_(True)
        for buffer in self.networks["generator"].buffers():  # batch statistics, each process's own until here
            if buffer.is_floating_point():
                buffer.copy_(world.average(buffer))

        return {
            "discriminator_loss": d_loss.detach(),
            "generator_loss": g_loss.detach(),
            "likelihood_real": torch.sigmoid(real_logits.detach()).mean(),
            "likelihood_fake": torch.sigmoid(fake_logits.detach()).mean(),
        }

    @torch.no_grad()
    def generate(self, z: Tensor) -> Tensor:
        """Digits of the averaged generator, uint8 (N, 1, 28, 28) on the CPU."""
        return to_uint8(self.averages["generator"](z.to(self.world.device))).cpu()

    def sample_grid(self) -> Tensor:
        """100 digits of the fixed z, ten a row."""
        return tile(self.generate(self.fixed_z), columns=10)

    def inspect(self, images: int) -> tuple[dict[str, float], str | None]:
        """Histogram figures of 1,000 fresh digits, and the warning when the generator has collapsed."""
        if self.watch is None:
            return {}, None
        z = torch.randn(1000, self.settings.latent, generator=randomness.generator(self.config.seed, "watch", images))
        return self.watch.look(self.generate(z), images)
