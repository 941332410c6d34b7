"""What every fit of two generators between two domains shares: G: X -> Y and F: Y -> X, judged by D_Y and D_X."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from training import rng
from training.config.base import PairConfig
from training.data import augmentation
from training.data.unpaired import Domain
from training.distributed import World
from training.generators import directions
from training.images import tile, to_signed, to_uint8
from training.losses import cyclegan as losses
from training.losses.r1 import r1_penalty
from training.networks.cyclegan import Discriminator, generator_of, patch_discriminator_of
from training.networks.efficientnet_lite import EfficientNetLite0
from training.networks.projected import ProjectedDiscriminator
from training.tasks import ema
from training.tasks.base import Task
from training.tasks.image_pool import ImagePool


class Way(NamedTuple):
    """One of a pair's two translations, as its networks and domains are called."""

    generator: str
    """The network that translates: G or F."""
    back: str
    """The generator that brings its pictures back."""
    source: str
    """The domain it translates from: X or Y."""
    target: str
    """The domain it translates to; the discriminator D_X or D_Y is called by it."""


WAYS = (Way("G", "F", "X", "Y"), Way("F", "G", "Y", "X"))


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
        judged_by: Mapping[str, Any],
        features: EfficientNetLite0 | None,
        ways: tuple[Way, ...] = WAYS,
    ) -> None:
        """`domains`: training pictures of X and Y. `shown`: a few of each for the grid, uint8, whole.

        `judged_by`: the settings of the discriminators, `features`: the network of projected ones.
        `ways`: those that learn. A generator that does not stands still, and so does the discriminator that judges it.
        """
        super().__init__(config, world, precision)
        self.shown, self.ways = shown, ways
        self.domains = [replace(d, images=d.images.to(world.device)) for d in domains]  # cut and mirrored there
        self.dataset = {"name": f"{config.pair}, training sets", "sha256": {d.name: d.sha256 for d in domains}}
        settings = config.model_dump()
        with rng.seeded(config.seed, "weights"):
            g, f = (self.adopt(generator_of(settings)) for _ in "GF")
            d_x, d_y = (self.adopt(self._discriminator(judged_by, features)) for _ in "XY")
        self.networks = {"G": g, "F": f, "D_X": d_x, "D_Y": d_y}
        self.averages = {"G": ema.averaged_copy(g), "F": ema.averaged_copy(f)}
        self.still = {way.generator for way in WAYS} - {way.generator for way in ways}
        for name in self.still:
            self.networks[name].requires_grad_(False)
        learning = [self.networks[way.generator] for way in ways]
        judging = [self.networks[f"D_{way.target}"] for way in ways]
        betas = (0.0, 0.99) if judged_by.get("discriminator") == "projected" else (0.5, 0.999)
        self.add_optimiser("generators", *learning, rate=config.rate, betas=betas)
        self.add_optimiser("discriminators", *judging, rate=config.discriminator_rate, betas=betas)
        self.pools = {name: ImagePool(config.pool, config.seed, f"pool {name}", world) for name in ("X", "Y")}
        self.generators = {"G": self.compiled(g), "F": self.compiled(f)}
        self.discriminators: dict[str, Callable[[Tensor], Tensor | list[Tensor]]] = {
            "X": self.compiled(d_x.logits),
            "Y": self.compiled(d_y.logits),
        }

    def take(self, state: dict[str, Any]) -> None:
        """Takes the weights of another run. Raises ValueError, too, when they fit but translate the other way.

        A generator that stands still takes the averaged ones, as it would be served.
        """
        if self.config.pair == directions(state["config"]["pair"])[1]:
            raise ValueError("its G is F here")
        super().take(state)
        for name in self.still:
            self.networks[name].load_state_dict(self.averages[name].state_dict())

    def _discriminator(
        self, settings: Mapping[str, Any], features: EfficientNetLite0 | None
    ) -> Discriminator | ProjectedDiscriminator:
        if settings.get("discriminator") != "projected":
            return patch_discriminator_of(settings)
        if features is None:
            raise ValueError("projected discriminators need the feature network")
        return ProjectedDiscriminator(self.adopt(features))

    def set_rate(self, done: float, images: int) -> None:
        """Sets the learning rates; the generators' one rises over the first `warmup_images`."""
        super().set_rate(done, images)
        if images < self.config.warmup_images:
            for group in self.optimisers["generators"].param_groups:
                group["lr"] *= (images + 1) / self.config.warmup_images

    def pictures(self, first: int) -> dict[str, Tensor]:
        """This process's x and y of the global batch that starts at pair `first`, in [-1, 1], as X and Y."""
        config = self.config
        batches = (d.batch(first, config.batch, config.crop, config.seed, self.world) for d in self.domains)
        return dict(zip("XY", batches, strict=True))

    def adversarial(self, fakes: dict[str, Tensor], first: int) -> dict[str, Tensor]:
        """The generators' adversarial losses on their fakes, by domain; no gradient of a discriminator is computed."""
        parts = {}
        for way in self.ways:
            learning = [p for p in self.networks[f"D_{way.target}"].parameters() if p.requires_grad]
            for parameter in learning:
                parameter.requires_grad_(False)
            judged = self._judge(way.target, self._varied(fakes[way.target], f"judged {way.target}", first))
            for parameter in learning:
                parameter.requires_grad_(True)
            scales = [losses.adversarial_loss(logits, self.config.adversarial) for logits in judged]
            parts[f"adversarial_{way.generator}"] = torch.stack(scales).mean()
        return parts

    def _judge(self, domain: str, images: Tensor) -> list[Tensor]:
        """The discriminator's logits in float32, one map for each scale at which it looks."""
        with self.autocast():
            logits = self.discriminators[domain](images)
        return [logits.float()] if isinstance(logits, Tensor) else [scale.float() for scale in logits]

    def improve_discriminators(
        self, real: dict[str, Tensor], fakes: dict[str, Tensor], first: int
    ) -> dict[str, Tensor]:
        """One update of the discriminators on photographs and a history of fakes, both by domain; their losses."""
        config, parts, total = self.config, {}, torch.zeros((), device=self.world.device)
        with_r1 = config.r1_weight > 0 and first // config.batch % config.r1_every == 0
        for domain in (way.target for way in self.ways):
            old = self.pools[domain].query(fakes[domain].detach(), first)
            shown = self._varied(real[domain], f"real {domain}", first)
            judged = self._judge(domain, torch.cat([shown, self._varied(old, f"fake {domain}", first)]))
            scales = []
            for is_real, is_fake in (logits.chunk(2) for logits in judged):
                scales.append(losses.discriminator_loss(is_real, is_fake, config.adversarial))
            parts[f"discriminator_{domain}"] = torch.stack(scales).mean()
            total = total + parts[f"discriminator_{domain}"]
            if with_r1:
                shown = shown.detach().requires_grad_(True)
                discriminator = cast(Discriminator, self.networks[f"D_{domain}"])
                uncompiled = discriminator.logits(shown)  # compiled code cannot be differentiated twice
                parts[f"r1_{domain}"] = r1_penalty(uncompiled, shown)
                total = total + config.r1_weight * config.r1_every * parts[f"r1_{domain}"]
        self.descend("discriminators", total)
        return parts

    def _varied(self, images: Tensor, purpose: str, first: int) -> Tensor:
        """This process's images of the global batch that starts at `first`, as a discriminator sees them."""
        config = self.config
        if not config.augment:
            return images
        numbers = (first + i for i in self.world.share(config.batch))
        return augmentation.augment(images, augmentation.draw(config.seed, f"vary {purpose}", numbers))

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
