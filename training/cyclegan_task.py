"""CycleGAN as a task: G: X -> Y and F: Y -> X against D_Y and D_X (Zhu et al. 2017)."""

import torch
from torch import Tensor

from training import augmentation, ema, randomness
from training.config import CycleGanConfig
from training.data.pixels import to_signed, to_uint8
from training.data.unpaired import Domain
from training.distributed import World
from training.grid import tile
from training.image_pool import ImagePool
from training.losses import cyclegan as losses
from training.networks.cyclegan import PRESETS, Discriminator, generator_of
from training.task import Task


class CycleGanTask(Task):
    """The full objective: adversarial, cycle and identity losses of both directions, each reported by itself."""

    name = "cyclegan"

    def __init__(
        self,
        config: CycleGanConfig,
        domains: tuple[Domain, Domain],
        shown: tuple[Tensor, Tensor],
        world: World,
        precision: torch.dtype,
    ) -> None:
        """`domains`: training pictures of X and Y. `shown`: a few of each for the grid, uint8 (n, 3, crop, crop)."""
        super().__init__(config, world, precision)
        self.settings, self.domains, self.shown = config, domains, shown
        self.dataset = {"name": f"{config.pair}, training sets", "sha256": {d.name: d.sha256 for d in domains}}
        shape, antialias = (config.preset, config.filters, config.blocks), config.antialias
        with randomness.seeded(config.seed, "weights"):
            g, f = (self.adopt(generator_of(*shape, antialias)) for _ in "GF")
            d_x, d_y = (self.adopt(Discriminator(PRESETS[config.preset][2], antialias != "none")) for _ in "XY")
        self.networks = {"G": g, "F": f, "D_X": d_x, "D_Y": d_y}
        self.averages = {"G": ema.averaged_copy(g), "F": ema.averaged_copy(f)}
        self.add_optimiser("generators", g, f, rate=config.rate)
        self.add_optimiser("discriminators", d_x, d_y, rate=config.discriminator_rate)
        self.pools = {name: ImagePool(config.pool, config.seed, f"pool {name}", world) for name in ("X", "Y")}
        self.g, self.f = self.compiled(g), self.compiled(f)
        self.d_x, self.d_y = self.compiled(d_x.logits), self.compiled(d_y.logits)

    def step(self, first: int) -> dict[str, Tensor]:
        """One update of both generators, then one of both discriminators."""
        config, kind = self.settings, self.settings.adversarial
        x, y = (d.batch(first, config.batch, config.crop, config.seed, self.world) for d in self.domains)
        with_identity = config.identity_weight > 0 and first // config.batch % config.identity_every == 0

        # Generators; the identity inputs ride along, instance normalisation keeps them apart
        self.networks["D_X"].requires_grad_(False)
        self.networks["D_Y"].requires_grad_(False)
        with self.autocast():
            if with_identity:
                fake_y, same_y = self.g(torch.cat([x, y])).chunk(2)
                fake_x, same_x = self.f(torch.cat([y, x])).chunk(2)
            else:
                fake_y, fake_x = self.g(x), self.f(y)
            again_x, again_y = self.f(fake_y), self.g(fake_x)
            judged_y = self.d_y(self._varied(fake_y, "judged Y", first))
            judged_x = self.d_x(self._varied(fake_x, "judged X", first))
        parts = {
            "adversarial_G": losses.adversarial_loss(judged_y.float(), kind),
            "adversarial_F": losses.adversarial_loss(judged_x.float(), kind),
            "cycle_X": losses.cycle_loss(x, again_x.float()),
            "cycle_Y": losses.cycle_loss(y, again_y.float()),
        }
        total = parts["adversarial_G"] + parts["adversarial_F"]
        total = total + config.cycle_weight * (parts["cycle_X"] + parts["cycle_Y"])
        if with_identity:
            parts["identity_G"] = losses.identity_loss(y, same_y.float())
            parts["identity_F"] = losses.identity_loss(x, same_x.float())
            weight = config.identity_weight * config.identity_every
            total = total + weight * (parts["identity_G"] + parts["identity_F"])
        self.descend("generators", total)
        self.networks["D_X"].requires_grad_(True)
        self.networks["D_Y"].requires_grad_(True)

        # Discriminators, on a history of fakes
        old_y, old_x = self.pools["Y"].query(fake_y.detach(), first), self.pools["X"].query(fake_x.detach(), first)
        shown_y = torch.cat([self._varied(y, "real Y", first), self._varied(old_y, "fake Y", first)])
        shown_x = torch.cat([self._varied(x, "real X", first), self._varied(old_x, "fake X", first)])
        with self.autocast():
            real_y, faked_y = self.d_y(shown_y).float().chunk(2)
            real_x, faked_x = self.d_x(shown_x).float().chunk(2)
        parts["discriminator_Y"] = losses.discriminator_loss(real_y, faked_y, kind)
        parts["discriminator_X"] = losses.discriminator_loss(real_x, faked_x, kind)
        self.descend("discriminators", parts["discriminator_Y"] + parts["discriminator_X"])
        return {name: value.detach() for name, value in parts.items()}

    def _varied(self, images: Tensor, purpose: str, first: int) -> Tensor:
        """This process's images of the global batch that starts at `first`, as a discriminator sees them."""
        config = self.settings
        numbers = (first + i for i in self.world.share(config.batch))
        return augmentation.augment(images, config.augment, augmentation.draw(config.seed, f"vary {purpose}", numbers))

    @torch.no_grad()
    def sample_grid(self) -> Tensor:
        """A row for every shown picture: x, G(x), F(G(x)), then y, F(y), G(F(y))."""
        g, f = self.averages["G"], self.averages["F"]
        rows = []
        for x, y in zip(*(to_signed(s).to(self.world.device) for s in self.shown), strict=True):
            x, y = x[None], y[None]
            fake_y, fake_x = g(x), f(y)
            rows += [x, fake_y, f(fake_y), y, fake_x, g(fake_x)]
        return tile(to_uint8(torch.cat(rows)).cpu(), columns=6)
