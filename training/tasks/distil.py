"""Distillation as a task: small generators learn what a teacher's make of the training photographs (Li et al. 2020)."""

from typing import Any

import torch
from torch import Tensor

from training.checkpoint import CheckpointError
from training.config.base import DistilConfig
from training.data.unpaired import Domain
from training.distributed import World
from training.generators import finished_generators
from training.losses import cyclegan as losses
from training.networks.efficientnet_lite import EfficientNetLite0
from training.resume import ResumeError, learnt
from training.tasks.pair import PairTask


class DistilTask(PairTask):
    """Each generator draws what the teacher's averaged one draws, and goes on against the teacher's discriminator."""

    name = "distil"
    config: DistilConfig

    def __init__(
        self,
        config: DistilConfig,
        domains: tuple[Domain, Domain],
        shown: tuple[Tensor, Tensor],
        world: World,
        precision: torch.dtype,
        teacher: dict[str, Any],
        teacher_sha256: str,
        features: EfficientNetLite0 | None = None,
    ) -> None:
        """`teacher`: the state of a checkpoint of task cyclegan, and its file's hash. Raises CheckpointError.

        `features`: the network of a teacher's projected discriminators.
        """
        if teacher.get("task") != "cyclegan":
            raise CheckpointError(f"--teacher is of task {teacher.get('task')!r}: give a run of gan-train cyclegan")
        g, f = (finished.network for finished in finished_generators(teacher))
        theirs = teacher["config"]
        if theirs["pair"] != config.pair:
            raise CheckpointError(f"--teacher translates {theirs['pair']}, --pair is {config.pair}: give the same")
        for name in ("D_X", "D_Y"):
            if name not in learnt(teacher):
                raise CheckpointError(
                    f"--teacher's {name} never learnt, since --only left it as drawn: give a run whose both directions "
                    "learnt, one after the other or together"
                )
        super().__init__(config, domains, shown, world, precision, theirs, features)
        for name in ("D_X", "D_Y"):
            self.networks[name].load_state_dict(teacher["networks"][name])
        self.teachers = {"G": self.compiled(self.adopt(g)), "F": self.compiled(self.adopt(f))}
        self.dataset["teacher"] = {
            "sha256": teacher_sha256,
            "images": teacher["images"],
            "git_commit": teacher["provenance"]["git_commit"],
        }

    def step(self, first: int) -> dict[str, Tensor]:
        """One update of both generators, then one of both discriminators."""
        pictures = self.pictures(first)

        # Generators
        parts, fakes = {}, {}
        total = torch.zeros((), device=self.world.device)
        for way in self.ways:
            with self.autocast():
                with torch.no_grad():
                    taught = self.teachers[way.generator](pictures[way.source])
                fakes[way.target] = self.generators[way.generator](pictures[way.source])
            parts[f"teacher_{way.generator}"] = losses.distillation_loss(taught.float(), fakes[way.target].float())
            total = total + self.config.teacher_weight * parts[f"teacher_{way.generator}"]
        parts = self.adversarial(fakes, first) | parts
        for way in self.ways:
            total = total + parts[f"adversarial_{way.generator}"]
        self.descend("generators", total)

        # Discriminators
        parts |= self.improve_discriminators(pictures, fakes, first)
        return {name: value.detach() for name, value in parts.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes back what `state` returned, of a run with the same teacher."""
        ours, theirs = self.dataset["teacher"], state["dataset"]["teacher"]
        if ours["sha256"] != theirs["sha256"]:
            raise ResumeError(
                f"{self.config.out} was taught by a checkpoint of {theirs['images']:,} pairs, --teacher is another one "
                f"(of {ours['images']:,}): give that file, or choose another --out"
            )
        super().restore(state)
