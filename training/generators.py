"""The finished generators of a checkpoint: built from its settings, with the averaged weights."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from training.checkpoint import CheckpointError
from training.config.base import FitConfig
from training.config.cyclegan import CycleGanConfig
from training.config.distil import DistilConfig
from training.config.gan import GanConfig
from training.data.mnist import CLASSES
from training.networks import cyclegan, gan

CONFIGS: dict[str, type[FitConfig]] = {"gan": GanConfig, "cyclegan": CycleGanConfig, "distil": DistilConfig}


@dataclass(frozen=True)
class FinishedGenerator:
    """One generator to score or export, frozen, with its description."""

    name: str
    """mnist, mnist-conditional, horse2zebra or zebra2horse."""
    network: nn.Module
    """The averaged weights, in evaluation mode."""
    key: str
    """Its name in the checkpoint: generator, G or F."""
    learnt: bool = True
    """Whether the checkpoint's run fitted it; one that was fixed has the card of its own run."""
    direction: str | None = None
    """Direction of a translation, such as horse2zebra; None for digits."""
    preset: str | None = None
    """Preset of a translation's network; None for digits."""
    latent: int | None = None
    """Length of z of a digit generator; None for a translation."""
    conditional: bool = False
    """Whether a digit generator takes the wanted digit as its second input."""


def finished_generators(state: dict[str, Any]) -> list[FinishedGenerator]:
    """The generators of a checkpoint's `state`.

    Raises CheckpointError if task, settings or weights are not those of a fit of this project.
    """
    try:
        task, config, averages = state["task"], state["config"], state["averages"]
        if unknown := CONFIGS[task].unknown(config) if task in CONFIGS else "":
            raise CheckpointError(
                f"the checkpoint was fitted with {unknown}, which this version does not know: fit anew"
            )
        if task == "gan":
            conditional, latent = config["conditional"], config["latent"]
            digits = gan.Generator(latent, config["width"], CLASSES if conditional else 0, config["clusters"])
            digits.load_state_dict(averages["generator"])
            name = "mnist-conditional" if conditional else "mnist"
            return [FinishedGenerator(name, _frozen(digits), "generator", latent=latent, conditional=conditional)]
        if task in {"cyclegan", "distil"}:
            found, only = [], config.get("only")
            if only not in {None, "G", "F"}:
                raise CheckpointError(f"the checkpoint has only {only!r} learn: it is not from a fit of this project")
            for key, direction in zip("GF", directions(config["pair"]), strict=True):
                network = cyclegan.generator_of(config)
                network.load_state_dict(averages[key])
                learnt = only in {None, key}
                found.append(FinishedGenerator(direction, _frozen(network), key, learnt, direction, config["preset"]))
            return found
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"the checkpoint lacks {error}: it is not from a fit of this project") from error
    except RuntimeError as error:  # load_state_dict: shapes or names that do not fit
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"the checkpoint's weights do not fit the network its settings describe: {reason}"
        ) from error
    raise CheckpointError(f"the checkpoint is of task {task!r}: only gan, cyclegan and distil make generators")


def directions(pair: str) -> tuple[str, str]:
    """'horse2zebra' -> ('horse2zebra', 'zebra2horse'). Raises CheckpointError for a name without its 2."""
    x, two, y = pair.partition("2")
    if not (x and two and y):
        raise CheckpointError(f"the pair {pair!r} does not name its domains as in 'horse2zebra'")
    return pair, f"{y}2{x}"


def _frozen(network: nn.Module) -> nn.Module:
    return network.eval().requires_grad_(False)
