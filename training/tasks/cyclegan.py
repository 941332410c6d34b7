"""CycleGAN as a task: two generators, each against a discriminator, tied together by cycles (Zhu et al. 2017)."""

import torch
from torch import Tensor

from training.config.cyclegan import CycleGanConfig
from training.data.unpaired import Domain
from training.distributed import World
from training.losses import cyclegan as losses
from training.networks.efficientnet_lite import EfficientNetLite0
from training.tasks.pair import DIRECTIONS, PairTask


class CycleGanTask(PairTask):
    """The full objective: adversarial, cycle and identity losses of both directions, each reported separately.

    With `only` set, the objective of one direction: the other generator is fixed and closes the cycle.
    """

    name = "cyclegan"
    config: CycleGanConfig

    def __init__(
        self,
        config: CycleGanConfig,
        domains: tuple[Domain, Domain],
        shown: tuple[Tensor, Tensor],
        world: World,
        precision: torch.dtype,
        features: EfficientNetLite0 | None = None,
    ) -> None:
        """`domains`: training images of X and Y. `shown`: a few whole images of each for the sample grid, uint8.

        `features`: the feature network of projected discriminators.
        """
        learning = tuple(d for d in DIRECTIONS if config.only in {None, d.generator})
        super().__init__(config, domains, shown, world, precision, config.model_dump(), features, learning)

    def step(self, first: int) -> dict[str, Tensor]:
        """One update of the generators, then one of the discriminators."""
        config, images = self.config, self.images(first)
        with_identity = config.identity_weight > 0 and first // config.batch % config.identity_every == 0

        # Generators; the identity's images share a batch with the others, since no layer mixes images
        terms: dict[str, tuple[float, Tensor]] = {}
        fakes = {}
        for direction in self.learning:
            source, target = images[direction.source], images[direction.target]
            generator, back = self.generators[direction.generator], self.generators[direction.back]
            with self.autocast():
                inputs = [source, target] if with_identity else [source]
                fake, *mapped = generator(torch.cat(inputs)).chunk(len(inputs))
                reconstruction = back(fake) if config.cycle_weight else None
            if reconstruction is not None:
                cycle = losses.cycle_loss(source, reconstruction.float())
                terms[f"cycle_{direction.source}"] = config.cycle_weight, cycle
            if with_identity:
                identity = losses.identity_loss(target, mapped[0].float())
                terms[f"identity_{direction.generator}"] = config.identity_weight * config.identity_every, identity
            if config.change_weight:
                change = losses.change_loss(source, fake.float())
                terms[f"change_{direction.generator}"] = config.change_weight, change
            fakes[direction.target] = fake
        terms = {name: (1.0, loss) for name, loss in self.adversarial(fakes, first).items()} | terms
        self.descend("generators", torch.stack([weight * loss for weight, loss in terms.values()]).sum())

        # Discriminators
        parts = {name: loss for name, (_, loss) in terms.items()} | self.improve_discriminators(images, fakes, first)
        return {name: value.detach() for name, value in parts.items()}
