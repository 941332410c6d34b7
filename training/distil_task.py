"""Distillation as a task: small generators learn what a teacher's make of the training photographs (Li et al. 2020)."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from training.checkpoint import CheckpointError
from training.config import DistilConfig
from training.data.unpaired import Domain
from training.distributed import World
from training.generators import finished_generators
from training.losses import cyclegan as losses
from training.networks.cyclegan import discriminator_of
from training.pair_task import PairTask
from training.resuming import ResumeError


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
    ) -> None:
        """`teacher`: the state of a checkpoint of task cyclegan, and its file's hash. Raises CheckpointError."""
        if teacher.get("task") != "cyclegan":
            raise CheckpointError(f"--teacher is of task {teacher.get('task')!r}: give a run of gan-train cyclegan")
        g, f = (finished.network for finished in finished_generators(teacher))
        theirs = teacher["config"]
        if theirs["pair"] != config.pair:
            raise CheckpointError(f"--teacher translates {theirs['pair']}, --pair is {config.pair}: give the same")
        judge = partial(discriminator_of, theirs)
        super().__init__(config, domains, shown, world, precision, judge)
        for name in ("D_X", "D_Y"):
            self.networks[name].load_state_dict(teacher["networks"][name])
        self.teacher_g, self.teacher_f = self.compiled(self.adopt(g)), self.compiled(self.adopt(f))
        self.dataset["teacher"] = {
            "sha256": teacher_sha256,
            "images": teacher["images"],
            "git_commit": teacher["provenance"]["git_commit"],
        }

    def step(self, first: int) -> dict[str, Tensor]:
        """One update of both generators, then one of both discriminators."""
        x, y = self.pictures(first)

        # Generators
        with self.autocast():
            with torch.no_grad():
                taught_y, taught_x = self.teacher_g(x), self.teacher_f(y)
            fake_y, fake_x = self.g(x), self.f(y)
        parts = self.adversarial(fake_y, fake_x, first)
        parts["teacher_G"] = losses.distillation_loss(taught_y.float(), fake_y.float())
        parts["teacher_F"] = losses.distillation_loss(taught_x.float(), fake_x.float())
        total = parts["adversarial_G"] + parts["adversarial_F"]
        self.descend("generators", total + self.config.teacher_weight * (parts["teacher_G"] + parts["teacher_F"]))

        # Discriminators
        parts |= self.improve_discriminators(x, y, fake_y, fake_x, first)
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
