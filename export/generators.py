"""Which generators a checkpoint holds, rebuilt with their averaged weights."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from export.graphs import DigitGraph, TranslationGraph
from training.checkpoint import CheckpointError
from training.networks import cyclegan, gan


@dataclass(frozen=True)
class Exportable:
    """One graph to publish: `name` under models/, and what the card says of it."""

    name: str
    graph: nn.Module
    direction: str | None = None
    preset: str | None = None
    latent: int | None = None


def generators_of(state: dict[str, Any], suffix: str = "") -> list[Exportable]:
    """The averaged generators of a checkpoint. `suffix` ("-fast") sets a variant's name apart.

    Raises CheckpointError when task, settings or weights are not those of a fit of this project.
    """
    try:
        task, config, averages = state["task"], state["config"], state["averages"]
        if task == "gan":
            digits = gan.Generator(config["latent"], config["width"])
            digits.load_state_dict(averages["generator"])
            return [Exportable(f"mnist{suffix}", _frozen(DigitGraph(digits)), latent=config["latent"])]
        if task == "cyclegan":
            found = []
            for key, direction in zip("GF", directions(config["pair"]), strict=True):
                network = cyclegan.Generator(*cyclegan.PRESETS[config["preset"]][:2])
                network.load_state_dict(averages[key])
                graph = _frozen(TranslationGraph(network))
                found.append(Exportable(f"{direction}{suffix}", graph, direction=direction, preset=config["preset"]))
            return found
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"the checkpoint lacks {error}: it is not from a fit of this project") from error
    except RuntimeError as error:  # load_state_dict: shapes or names that do not fit
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"the checkpoint's weights do not fit the network its settings describe: {reason}"
        ) from error
    raise CheckpointError(f"the checkpoint is of task {task!r}: only gan and cyclegan are exported")


def directions(pair: str) -> tuple[str, str]:
    """'horse2zebra' -> ('horse2zebra', 'zebra2horse'). Raises CheckpointError for a name without its 2."""
    x, two, y = pair.partition("2")
    if not (x and two and y):
        raise CheckpointError(f"the pair {pair!r} does not name its domains as in 'horse2zebra'")
    return pair, f"{y}2{x}"


def _frozen(graph: nn.Module) -> nn.Module:
    return graph.eval().requires_grad_(False)
