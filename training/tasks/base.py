"""What the training loop needs of a task: networks, optimisers, averages and one training step."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from training.config.base import FitConfig
from training.distributed import World
from training.tasks import ema
from training.tasks.image_pool import ImagePool

N = TypeVar("N", bound=nn.Module)
R = TypeVar("R")


class Task(ABC):
    """Networks, their optimisers and one training step. A subclass fills the dictionaries and writes `step`."""

    name: str
    """Task name in checkpoints: gan, cyclegan or distil."""

    def __init__(self, config: FitConfig, world: World, precision: torch.dtype) -> None:
        """`precision`: float32, or bfloat16 for autocast."""
        self.config, self.world, self.precision = config, world, precision
        self.networks: dict[str, nn.Module] = {}
        self.averages: dict[str, nn.Module] = {}
        self.optimisers: dict[str, Optimizer] = {}
        self.rates: dict[str, float] = {}
        self.pools: dict[str, ImagePool] = {}
        self.dataset: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        """Images and settings of the earlier runs that the first weights came from (`history.merged_history`)."""

    @abstractmethod
    def step(self, first: int) -> dict[str, Tensor]:
        """One update of every network on the global batch that starts at image `first`.

        Returns the losses as detached scalars.
        """

    @abstractmethod
    def sample_grid(self) -> Tensor:
        """Samples of the averaged generators for fixed inputs as one image, uint8 (H, W) or (H, W, 3)."""

    def inspect(self, images: int) -> tuple[dict[str, float], str | None]:
        """Measures the averaged generators once a tick: figures for the log, and a warning if something is wrong."""
        return {}, None

    def to_device(self, network: N) -> N:
        """Moves a network to the device, in the memory layout that is fast there.

        channels_last pays on GPUs and with bf16; in fp32 on CPUs it cost 15-30% here.
        """
        dense = self.world.device.type == "cpu" and self.precision is torch.float32
        network = network.to(self.world.device)
        return network if dense else network.to(memory_format=torch.channels_last)

    def compiled(self, forward: Callable[..., R]) -> Callable[..., R]:
        """`forward` through torch.compile if the settings ask for it, compiled once for each input shape."""
        return torch.compile(forward, dynamic=False) if self.config.compile else forward

    def add_optimiser(
        self, name: str, *networks: nn.Module, rate: float, betas: tuple[float, float] = (0.5, 0.999)
    ) -> None:
        """Adds a fused Adam over the networks' parameters that require gradients; DCGAN's betas by default."""
        parameters = [p for network in networks for p in network.parameters() if p.requires_grad]
        self.rates[name] = rate
        self.optimisers[name] = Adam(parameters, lr=rate, betas=betas, fused=True)

    def autocast(self) -> torch.autocast:
        """The context in which networks run."""
        return torch.autocast(self.world.device.type, torch.bfloat16, enabled=self.precision is torch.bfloat16)

    def descend(self, optimiser: str, loss: Tensor) -> None:
        """One step of the named optimiser down the loss, on gradients averaged over the processes."""
        chosen = self.optimisers[optimiser]
        chosen.zero_grad(set_to_none=True)
        loss.backward()
        self.world.average_gradients(p for group in chosen.param_groups for p in group["params"])
        chosen.step()

    def set_rate(self, done: float, images: int) -> None:
        """Sets the learning rates for progress `done` in [0, 1]: constant, then linear to zero.

        `images`: the number that the run has seen, for tasks with a warm-up.
        """
        falling = 1 - self.config.decay_from
        left = (1 - done) / falling if falling else 1.0
        for name, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = self.rates[name] * min(1.0, left)

    def update_averages(self, images: int) -> None:
        """Moves the averaged generators after the step that brought the run to `images`."""
        images += sum(run["images"] for run in self.history)  # averages of an earlier run are not young
        for name, average in self.averages.items():
            ema.update(average, self.networks[name], images, self.config.batch, self.config.ema_images)

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs besides its position: random draws are functions of the position."""
        return {
            "networks": {name: network.state_dict() for name, network in self.networks.items()},
            "averages": {name: network.state_dict() for name, network in self.averages.items()},
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
            "history": self.history,
            "pools": {name: pool.images for name, pool in self.pools.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restores what `state` returned."""
        self.take(state)
        self.history = state["history"]
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
            # The moments may have another machine's memory layout, and fused Adam pairs them with the weights by place
            for parameter, moments in optimiser.state.items():
                for moment in ("exp_avg", "exp_avg_sq"):
                    moments[moment] = torch.empty_like(parameter).copy_(moments[moment])
        for name, pool in self.pools.items():
            images = state["pools"][name]
            pool.images = None if images is None else images.to(self.world.device)

    def take(self, state: dict[str, Any]) -> None:
        """Takes the weights of another run's checkpoint.

        Raises KeyError, RuntimeError or ValueError if they belong to other networks.
        """
        for part, ours in (("networks", self.networks), ("averages", self.averages)):
            for name, weights in state[part].items():
                ours[name].load_state_dict(weights)
