"""The graphs that a checkpoint is exported as."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from export.graphs import DigitGraph, TranslationGraph
from training.generators import FinishedGenerator, finished_generators


@dataclass(frozen=True)
class Exportable:
    """A graph to publish as `name` under models/."""

    name: str
    graph: nn.Module
    source: FinishedGenerator


def exportables(state: dict[str, Any], suffix: str = "") -> list[Exportable]:
    """The graphs of a checkpoint's averaged generators. `suffix` ("-fast") sets a variant's name apart.

    Raises CheckpointError if the state is not from a fit of this project.
    """
    found = []
    for source in finished_generators(state):
        graph = (DigitGraph if source.latent else TranslationGraph)(source.network)
        found.append(Exportable(f"{source.name}{suffix}", graph.eval(), source))
    return found
