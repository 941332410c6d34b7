"""The runs that a fit's weights went through, from checkpoint to checkpoint."""

from collections.abc import Mapping, Sequence
from typing import Any

from training.tasks.pair import DIRECTIONS

LEARNT_WITH = {d.generator: [d.generator, f"D_{d.target}"] for d in DIRECTIONS}
"""The networks that a fit of one generator alone changes."""


def merged_history(states: Sequence[Mapping[str, Any]], networks: Mapping[str, object]) -> list[dict[str, Any]]:
    """The runs that the weights of a run started from `states` went through, the oldest of each network first.

    A run that not all of `networks` went through lists under "networks" those that did.
    """
    runs: list[dict[str, Any]] = []
    for number, state in enumerate(states):
        taken = networks_of(states, number)
        earlier = runs[:]  # each matches once: equal runs of one source are consecutive fits with the same settings
        new: list[dict[str, Any]] = []  # without a match so far, to be inserted before the next match
        for run in _runs(state):
            through = taken & set(run.get("networks", taken))
            match = next((other for other in earlier if _same_run(other, run)), None)
            if match:
                match["networks"] |= through
                earlier = [other for other in earlier if other is not match]
                place = next(i for i, other in enumerate(runs) if other is match)
                runs[place:place], new = new, []
            elif through:
                new.append({"images": run["images"], "config": run["config"], "networks": through})
        runs += new
    for run in runs:
        through = run.pop("networks")
        if through != set(networks):
            run["networks"] = sorted(through)
    return runs


def learnt(state: Mapping[str, Any]) -> set[str]:
    """The networks of a checkpoint that learnt in its run or in an earlier one; the others keep their first weights."""
    return set().union(*(run.get("networks", state["networks"]) for run in _runs(state)))


def _runs(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A checkpoint's earlier runs, then its own."""
    own = {"images": state["images"], "config": state["config"]}
    if only := state["config"].get("only"):
        own["networks"] = LEARNT_WITH[only]
    return [*state["history"], own]


def networks_of(states: Sequence[Mapping[str, Any]], number: int) -> set[str]:
    """The networks of source `number` of a new run that no later source replaces."""
    return set(states[number]["networks"]).difference(*(later["networks"] for later in states[number + 1 :]))


def _same_run(run: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both are one run; settings that only one of them lists are ignored, since cards leave paths out."""
    common = run["config"].keys() & other["config"].keys()
    return run["images"] == other["images"] and all(run["config"][k] == other["config"][k] for k in common)
