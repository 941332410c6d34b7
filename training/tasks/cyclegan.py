"""CycleGAN as a task: both generators against both discriminators, and against each other (Zhu et al. 2017)."""

from contextlib import ExitStack
from typing import cast

import torch
from torch import Tensor

from training.config.base import CycleGanConfig
from training.data.unpaired import Domain
from training.distributed import World
from training.extrapolation import extrapolate
from training.losses import cyclegan as losses
from training.networks.cyclegan import Generator
from training.networks.efficientnet_lite import EfficientNetLite0
from training.tasks.pair import WAYS, PairTask

SPIKE_THRESHOLD = 6.0
"""Standard deviations above which a value of a normalised map is a spike."""


class CycleGanTask(PairTask):
    """The full objective: adversarial, cycle and identity losses of both directions, each reported by itself.

    With `only` set, that of one direction: the other generator stands still and brings its pictures back. With a
    `return_weight` the learner, say F, also learns from the other cycle, |F(G(x)) - x|, in which G's translations are
    inputs whose answers are known.
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
        """`domains`: training pictures of X and Y. `shown`: a few of each for the grid, uint8, whole.

        `features`: the network of projected discriminators.
        """
        ways = tuple(way for way in WAYS if config.only in {None, way.generator})
        super().__init__(config, domains, shown, world, precision, config.model_dump(), features, ways)

    def begin(self) -> None:
        """Moves the learner further in the direction that it came, if it is to."""
        extrapolate(self, self.config)

    def step(self, first: int) -> dict[str, Tensor]:
        """One update of the generators, then one of the discriminators."""
        config, pictures = self.config, self.pictures(first)
        with_identity = config.identity_weight > 0 and first // config.batch % config.identity_every == 0

        # Generators; what else one is to map rides along, instance normalisation keeps the pictures apart
        cycles, identities, spikes, fakes = {}, {}, {}, {}
        total = torch.zeros((), device=self.world.device)
        for way in self.ways:
            source, target = pictures[way.source], pictures[way.target]
            generator, back = self.generators[way.generator], self.generators[way.back]
            with self.autocast(), ExitStack() as watching:
                inputs = [source]
                if with_identity:
                    inputs.append(target)
                if config.return_weight:
                    inputs.append(back(target))
                if config.spike_weight:
                    network = cast(Generator, self.networks[way.generator])
                    peaks = watching.enter_context(network.watch_peaks())
                fake, *mapped = generator(torch.cat(inputs)).chunk(len(inputs))
                watching.close()
                again = back(fake) if config.cycle_weight else None
            if config.return_weight:
                cycles[f"cycle_{way.target}"] = losses.cycle_loss(target, mapped.pop().float())
                total = total + config.return_weight * cycles[f"cycle_{way.target}"]
            if with_identity:
                identities[f"identity_{way.generator}"] = losses.identity_loss(target, mapped.pop().float())
                weight = config.identity_weight * config.identity_every
                total = total + weight * identities[f"identity_{way.generator}"]
            if config.spike_weight:
                spikes[f"spikes_{way.generator}"] = losses.spike_penalty(peaks, SPIKE_THRESHOLD)
                total = total + config.spike_weight * spikes[f"spikes_{way.generator}"]
            if again is not None:
                cycles[f"cycle_{way.source}"] = losses.cycle_loss(source, again.float())
                total = total + config.cycle_weight * cycles[f"cycle_{way.source}"]
            fakes[way.target] = fake
        parts = self.adversarial(fakes, first) | cycles | identities | spikes
        for way in self.ways:
            total = total + parts[f"adversarial_{way.generator}"]
        self.descend("generators", total)

        # Discriminators
        parts |= self.improve_discriminators(pictures, fakes, first)
        return {name: value.detach() for name, value in parts.items()}
