"""What every fit of two generators between two domains shares: G: X -> Y against D_Y, F: Y -> X against D_X."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import zip_longest
from typing import Any, NamedTuple

import torch
from torch import Tensor

from training import rng
from training.config.pair import PairConfig
from training.data import augmentation
from training.data.unpaired import Domain
from training.distributed import World
from training.generators import directions
from training.images import tile, to_signed, to_uint8
from training.losses import cyclegan as losses
from training.networks.cyclegan import Discriminator, fold_norms, generator_of, patch_discriminator_of
from training.networks.efficientnet_lite import EfficientNetLite0
from training.networks.projected import ProjectedDiscriminator
from training.tasks import ema
from training.tasks.base import Task
from training.tasks.image_pool import ImagePool


class Direction(NamedTuple):
    """One of a pair's two translations, as its networks and domains are called."""

    generator: str
    """The network that translates: G or F."""
    back: str
    """The generator of the other direction, which closes the cycle."""
    source: str
    """The domain it translates from: X or Y."""
    target: str
    """The domain it translates to; its discriminator is D_X or D_Y."""


DIRECTIONS = (Direction("G", "F", "X", "Y"), Direction("F", "G", "Y", "X"))

FOLDED_IMAGES = 64
"""Training images over which the statistics are averaged that replace instance normalisation."""


class PairTask(Task):
    """Networks, images and the adversarial half of a step; a subclass adds the generators' other losses."""

    config: PairConfig

    def __init__(
        self,
        config: PairConfig,
        domains: tuple[Domain, Domain],
        shown: tuple[Tensor, Tensor],
        world: World,
        precision: torch.dtype,
        discriminator_settings: Mapping[str, Any],
        features: EfficientNetLite0 | None,
        learning: tuple[Direction, ...] = DIRECTIONS,
    ) -> None:
        """`domains`: training images of X and Y. `shown`: a few whole images of each for the sample grid, uint8.

        `discriminator_settings`: those that the discriminators are built from.
        `features`: the feature network of projected discriminators. `learning`: the directions to fit; the generators
        and discriminators of the others stay fixed.
        """
        super().__init__(config, world, precision)
        self.shown, self.learning = shown, learning
        self.domains = [replace(d, images=d.images.to(world.device)) for d in domains]  # cropped on the device
        self.dataset = {"name": f"{config.pair}, training sets", "sha256": {d.name: d.sha256 for d in domains}}
        settings = config.model_dump()
        with rng.seeded(config.seed, "weights"):
            g, f = (self.to_device(generator_of(settings)) for _ in "GF")
            d_x, d_y = (self.to_device(self._discriminator(discriminator_settings, features)) for _ in "XY")
        self.networks = {"G": g, "F": f, "D_X": d_x, "D_Y": d_y}
        self.averages = {"G": ema.averaged_copy(g), "F": ema.averaged_copy(f)}
        self.fixed = {d.generator for d in DIRECTIONS} - {d.generator for d in learning}
        for name in self.fixed:
            self.networks[name].requires_grad_(False)
        betas = (0.0, 0.99) if discriminator_settings.get("discriminator") == "projected" else (0.5, 0.999)
        generators = [self.networks[d.generator] for d in learning]
        discriminators = [self.networks[f"D_{d.target}"] for d in learning]
        self.add_optimiser("generators", *generators, rate=config.rate, betas=betas)
        self.add_optimiser("discriminators", *discriminators, rate=config.discriminator_rate, betas=betas)
        self.pools = {name: ImagePool(config.pool, config.seed, f"pool {name}", world) for name in ("X", "Y")}
        self.generators = {"G": self.compiled(g), "F": self.compiled(f)}
        self.discriminators: dict[str, Callable[[Tensor], Tensor | list[Tensor]]] = {
            "X": self.compiled(d_x.logits),
            "Y": self.compiled(d_y.logits),
        }

    def take(self, state: dict[str, Any]) -> None:
        """Takes the weights of another run. Raises ValueError also if they fit but translate the other way.

        A fixed generator takes the averaged weights, which are the ones that would be served.
        """
        if self.config.pair == directions(state["config"]["pair"])[1]:
            raise ValueError("it translates in the opposite direction")
        if state["config"].get("generator_norm", "instance") != self.config.generator_norm:
            state = self._without_norms(state)
        super().take(state)
        for name in self.fixed:
            self.networks[name].load_state_dict(self.averages[name].state_dict())

    def _without_norms(self, state: dict[str, Any]) -> dict[str, Any]:
        """The state with averaged generators whose instance normalisation is folded into their convolutions.

        Raises ValueError when this fit's generators are the ones with norms.
        """
        if self.config.generator_norm == "instance":
            raise ValueError("its generators have no norms: add --generator-norm none")
        folded = dict(state["averages"])
        for direction in DIRECTIONS:
            if direction.generator in folded:
                normed = generator_of(state["config"])
                normed.load_state_dict(folded[direction.generator])
                images = self.domains["XY".index(direction.source)].images
                chosen = images[:: max(1, len(images) // FOLDED_IMAGES)][:FOLDED_IMAGES]
                batches = (to_signed(part) for part in chosen.split(4))
                folded[direction.generator] = fold_norms(normed.to(self.world.device), batches)
        return {**state, "averages": folded, "networks": {**state["networks"], **folded}}

    def _discriminator(
        self, settings: Mapping[str, Any], features: EfficientNetLite0 | None
    ) -> Discriminator | ProjectedDiscriminator:
        if settings.get("discriminator") != "projected":
            return patch_discriminator_of(settings)
        if features is None:
            raise ValueError("projected discriminators need the feature network")
        return ProjectedDiscriminator(self.to_device(features))

    def set_rate(self, done: float, images: int) -> None:
        """Sets the learning rates; that of the generators rises over the first `warmup_images`."""
        super().set_rate(done, images)
        if images < self.config.warmup_images:
            for group in self.optimisers["generators"].param_groups:
                group["lr"] *= (images + 1) / self.config.warmup_images

    def images(self, first: int) -> dict[str, Tensor]:
        """This process's share of the global batch from pair `first`, by domain: (n, 3, h, w) in [-1, 1]."""
        config = self.config
        batches = (d.batch(first, config.batch, config.crop, config.seed, self.world) for d in self.domains)
        return dict(zip("XY", batches, strict=True))

    def adversarial(self, fakes: dict[str, Tensor], first: int) -> dict[str, Tensor]:
        """The generators' adversarial losses for their fakes, by domain; discriminators get no gradients from them."""
        parts = {}
        for direction in self.learning:
            learning = [p for p in self.networks[f"D_{direction.target}"].parameters() if p.requires_grad]
            for parameter in learning:
                parameter.requires_grad_(False)
            seen = self._augmented(fakes[direction.target], f"judged {direction.target}", first)
            scales = self._logits(direction.target, seen)
            for parameter in learning:
                parameter.requires_grad_(True)
            each = [losses.adversarial_loss(logits, self.config.adversarial) for logits in scales]
            parts[f"adversarial_{direction.generator}"] = torch.stack(each).mean()
        return parts

    def _logits(self, domain: str, images: Tensor) -> list[Tensor]:
        """The discriminator's logits in float32, one map for each scale that it has."""
        with self.autocast():
            logits = self.discriminators[domain](images)
        return [logits.float()] if isinstance(logits, Tensor) else [scale.float() for scale in logits]

    def improve_discriminators(
        self, real: dict[str, Tensor], fakes: dict[str, Tensor], first: int
    ) -> dict[str, Tensor]:
        """One update of the discriminators on real images and a history of fakes, by domain; returns the losses."""
        parts, total = {}, torch.zeros((), device=self.world.device)
        for domain in (direction.target for direction in self.learning):
            old = self.pools[domain].query(fakes[domain].detach(), first)
            seen = self._augmented(real[domain], f"real {domain}", first)
            scales = self._logits(domain, torch.cat([seen, self._augmented(old, f"fake {domain}", first)]))
            halves = [logits.chunk(2) for logits in scales]
            each = [losses.discriminator_loss(is_real, is_fake, self.config.adversarial) for is_real, is_fake in halves]
            parts[f"discriminator_{domain}"] = torch.stack(each).mean()
            total = total + parts[f"discriminator_{domain}"]
        self.descend("discriminators", total)
        return parts

    def _augmented(self, images: Tensor, purpose: str, first: int) -> Tensor:
        """This process's images of the global batch that starts at `first`, as a discriminator sees them.

        `purpose` is part of the seed: resumed runs need the same words.
        """
        config = self.config
        if not config.augment:
            return images
        numbers = (first + i for i in self.world.share(config.batch))
        return augmentation.augment(images, augmentation.draw(config.seed, f"vary {purpose}", numbers))

    @torch.no_grad()
    def sample_grid(self) -> Tensor:
        """A row for every shown pair: x, G(x), F(G(x)), then y, F(y), G(F(y)); black for what one domain lacks."""
        g, f = self.averages["G"], self.averages["F"]
        rows: list[Tensor] = []
        for pair in zip_longest(*(to_signed(s).to(self.world.device) for s in self.shown)):
            for image, forth, back in zip(pair, (g, f), (f, g), strict=True):
                if image is None:
                    rows += [torch.full_like(rows[0], -1)] * 3
                else:
                    made = forth(image[None])
                    rows += [image[None], made, back(made)]
        return tile(to_uint8(torch.cat(rows)).cpu(), columns=6)
