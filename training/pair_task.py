"""What every fit of two generators between two domains shares: G: X -> Y and F: Y -> X, judged by D_Y and D_X."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from training import augmentation, ema, randomness
from training.config import PairConfig
from training.data.pixels import to_signed, to_uint8
from training.data.unpaired import Domain
from training.distributed import World
from training.generators import directions
from training.grid import tile
from training.image_pool import ImagePool
from training.losses import cyclegan as losses
from training.losses.r1 import r1_penalty
from training.networks.cyclegan import Discriminator, generator_of
from training.task import Task


class PairTask(Task):
    """Networks, pictures and the adversarial half of a step; a subclass adds what else the generators learn from."""

    config: PairConfig

    def __init__(
        self,
        config: PairConfig,
        domains: tuple[Domain, Domain],
        shown: tuple[Tensor, Tensor],
        world: World,
        precision: torch.dtype,
        discriminator: Callable[[], Discriminator],
    ) -> None:
        """`domains`: training pictures of X and Y. `shown`: a few of each for the grid, uint8, whole."""
        super().__init__(config, world, precision)
        self.shown = shown
        self.domains = [replace(d, images=d.images.to(world.device)) for d in domains]  # cut and mirrored there
        self.dataset = {"name": f"{config.pair}, training sets", "sha256": {d.name: d.sha256 for d in domains}}
        settings = config.model_dump()
        with randomness.seeded(config.seed, "weights"):
            g, f = (self.adopt(generator_of(settings)) for _ in "GF")
            d_x, d_y = (self.adopt(discriminator()) for _ in "XY")
        self.networks = {"G": g, "F": f, "D_X": d_x, "D_Y": d_y}
        self.averages = {"G": ema.averaged_copy(g), "F": ema.averaged_copy(f)}
        self.add_optimiser("generators", g, f, rate=config.rate)
        self.add_optimiser("discriminators", d_x, d_y, rate=config.discriminator_rate)
        self.pools = {name: ImagePool(config.pool, config.seed, f"pool {name}", world) for name in ("X", "Y")}
        self.g, self.f = self.compiled(g), self.compiled(f)
        self.d_x, self.d_y = self.compiled(d_x.logits), self.compiled(d_y.logits)

    def take(self, state: dict[str, Any]) -> None:
        """Takes the weights of another run. Raises ValueError, too, when they fit but translate the other way."""
        if self.config.pair == directions(state["config"]["pair"])[1]:
            raise ValueError("its G is F here")
        super().take(state)

    def pictures(self, first: int) -> tuple[Tensor, Tensor]:
        """This process's x and y of the global batch that starts at pair `first`, in [-1, 1]."""
        config = self.config
        x, y = (d.batch(first, config.batch, config.crop, config.seed, self.world) for d in self.domains)
        return x, y

    def adversarial(self, fake_y: Tensor, fake_x: Tensor, first: int) -> dict[str, Tensor]:
        """The generators' adversarial losses; no gradient of a discriminator's weights is computed."""
        kind = self.config.adversarial
        self.networks["D_X"].requires_grad_(False)
        self.networks["D_Y"].requires_grad_(False)
        with self.autocast():
            judged_y = self.d_y(self._varied(fake_y, "judged Y", first))
            judged_x = self.d_x(self._varied(fake_x, "judged X", first))
        self.networks["D_X"].requires_grad_(True)
        self.networks["D_Y"].requires_grad_(True)
        return {
            "adversarial_G": losses.adversarial_loss(judged_y.float(), kind),
            "adversarial_F": losses.adversarial_loss(judged_x.float(), kind),
        }

    def improve_discriminators(
        self, x: Tensor, y: Tensor, fake_y: Tensor, fake_x: Tensor, first: int
    ) -> dict[str, Tensor]:
        """One update of both discriminators on photographs and a history of fakes; their losses."""
        kind = self.config.adversarial
        old_y, old_x = self.pools["Y"].query(fake_y.detach(), first), self.pools["X"].query(fake_x.detach(), first)
        shown_y = torch.cat([self._varied(y, "real Y", first), self._varied(old_y, "fake Y", first)])
        shown_x = torch.cat([self._varied(x, "real X", first), self._varied(old_x, "fake X", first)])
        with self.autocast():
            real_y, faked_y = self.d_y(shown_y).float().chunk(2)
            real_x, faked_x = self.d_x(shown_x).float().chunk(2)
        parts = {
            "discriminator_Y": losses.discriminator_loss(real_y, faked_y, kind),
            "discriminator_X": losses.discriminator_loss(real_x, faked_x, kind),
        }
        total = parts["discriminator_Y"] + parts["discriminator_X"]
        if self.config.r1_weight and first // self.config.batch % self.config.r1_every == 0:
            parts |= self._r1_penalties(shown_x, shown_y)
            total = total + self.config.r1_weight * self.config.r1_every * (parts["r1_Y"] + parts["r1_X"])
        self.descend("discriminators", total)
        return parts

    def _r1_penalties(self, shown_x: Tensor, shown_y: Tensor) -> dict[str, Tensor]:
        """On the real half of what the discriminators were shown; uncompiled, since it is differentiated twice."""
        parts = {}
        for name, shown in (("Y", shown_y), ("X", shown_x)):
            real = shown.detach()[: len(shown) // 2].requires_grad_(True)
            discriminator = cast(Discriminator, self.networks[f"D_{name}"])
            parts[f"r1_{name}"] = r1_penalty(discriminator.logits(real), real)
        return parts

    def _varied(self, images: Tensor, purpose: str, first: int) -> Tensor:
        """This process's images of the global batch that starts at `first`, as a discriminator sees them."""
        config = self.config
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
