"""CycleGAN as a task: both generators against both discriminators, and against each other (Zhu et al. 2017)."""

from functools import partial

import torch
from torch import Tensor

from training.config import CycleGanConfig
from training.data.unpaired import Domain
from training.distributed import World
from training.losses import cyclegan as losses
from training.networks.cyclegan import discriminator_of
from training.pair_task import PairTask


class CycleGanTask(PairTask):
    """The full objective: adversarial, cycle and identity losses of both directions, each reported by itself."""

    name = "cyclegan"
    config: CycleGanConfig

    def __init__(
        self,
        config: CycleGanConfig,
        domains: tuple[Domain, Domain],
        shown: tuple[Tensor, Tensor],
        world: World,
        precision: torch.dtype,
    ) -> None:
        """`domains`: training pictures of X and Y. `shown`: a few of each for the grid, uint8, whole."""
        judge = partial(discriminator_of, config.model_dump())
        super().__init__(config, domains, shown, world, precision, judge)

    def step(self, first: int) -> dict[str, Tensor]:
        """One update of both generators, then one of both discriminators."""
        config = self.config
        x, y = self.pictures(first)
        with_identity = config.identity_weight > 0 and first // config.batch % config.identity_every == 0

        # Generators; the identity inputs ride along, instance normalisation keeps them apart
        with self.autocast():
            if with_identity:
                fake_y, same_y = self.g(torch.cat([x, y])).chunk(2)
                fake_x, same_x = self.f(torch.cat([y, x])).chunk(2)
            else:
                fake_y, fake_x = self.g(x), self.f(y)
            again_x, again_y = self.f(fake_y), self.g(fake_x)
        parts = self.adversarial(fake_y, fake_x, first)
        parts["cycle_X"] = losses.cycle_loss(x, again_x.float())
        parts["cycle_Y"] = losses.cycle_loss(y, again_y.float())
        total = parts["adversarial_G"] + parts["adversarial_F"]
        total = total + config.cycle_weight * (parts["cycle_X"] + parts["cycle_Y"])
        if with_identity:
            parts["identity_G"] = losses.identity_loss(y, same_y.float())
            parts["identity_F"] = losses.identity_loss(x, same_x.float())
            weight = config.identity_weight * config.identity_every
            total = total + weight * (parts["identity_G"] + parts["identity_F"])
        self.descend("generators", total)

        # Discriminators
        parts |= self.improve_discriminators(x, y, fake_y, fake_x, first)
        return {name: value.detach() for name, value in parts.items()}
