"""Distillation as a task: small generators learn a teacher's translations of the training images (Li et al. 2020)."""

from typing import Any

import torch
from torch import Tensor

from training.checkpoint import CheckpointError, ResumeError
from training.config.distil import DistilConfig
from training.data.unpaired import Domain
from training.distributed import World
from training.generators import finished_generators
from training.losses import cyclegan as losses
from training.networks.efficientnet_lite import EfficientNetLite0
from training.tasks.history import learnt
from training.tasks.pair import PairTask


class DistilTask(PairTask):
    """Each generator learns the translations of the teacher's averaged one, against the teacher's discriminator."""

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
        """`teacher`: the state of a checkpoint of task cyclegan; `teacher_sha256`: its file's hash.

        `features`: the feature network of projected discriminators. Discriminators of the chosen kind that the
        teacher's checkpoint has fitted learn on; others are new. Raises CheckpointError for a checkpoint that cannot
        teach.
        """
        if teacher.get("task") != "cyclegan":
            raise CheckpointError(f"--teacher is of task {teacher.get('task')!r}: give a run of gan-train cyclegan")
        g, f = (finished.network for finished in finished_generators(teacher))
        theirs = teacher["config"]
        if theirs["pair"] != config.pair:
            raise CheckpointError(f"--teacher translates {theirs['pair']}, --pair is {config.pair}: give the same")
        same_kind = theirs.get("discriminator", "patch") == config.discriminator
        taken = sorted({"D_X", "D_Y"} & learnt(teacher)) if same_kind else []
        shape = theirs if taken else config.model_dump()
        super().__init__(config, domains, shown, world, precision, shape, features)
        for name in taken:
            try:
                self.networks[name].load_state_dict(teacher["networks"][name])
            except RuntimeError as error:  # a retired kind of discriminator
                raise CheckpointError(f"--teacher's {name} is of a kind that this version cannot build") from error
        self.teachers = {"G": self.compiled(self.to_device(g)), "F": self.compiled(self.to_device(f))}
        self.dataset["teacher"] = {
            "sha256": teacher_sha256,
            "images": teacher["images"],
            "git_commit": teacher["provenance"]["git_commit"],
        }

    def step(self, first: int) -> dict[str, Tensor]:
        """One update of both generators, then one of both discriminators."""
        images = self.images(first)

        # Generators
        parts, fakes = {}, {}
        total = torch.zeros((), device=self.world.device)
        for direction in self.learning:
            with self.autocast():
                with torch.no_grad():
                    taught = self.teachers[direction.generator](images[direction.source])
                fake = self.generators[direction.generator](images[direction.source])
            parts[f"teacher_{direction.generator}"] = losses.distillation_loss(taught.float(), fake.float())
            total = total + self.config.teacher_weight * parts[f"teacher_{direction.generator}"]
            fakes[direction.target] = fake
        parts = self.adversarial(fakes, first) | parts
        for direction in self.learning:
            total = total + parts[f"adversarial_{direction.generator}"]
        self.descend("generators", total)

        # Discriminators
        parts |= self.improve_discriminators(images, fakes, first)
        return {name: value.detach() for name, value in parts.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Restores what `state` returned. Raises ResumeError if that run had another teacher."""
        ours, theirs = self.dataset["teacher"], state["dataset"]["teacher"]
        if ours["sha256"] != theirs["sha256"]:
            raise ResumeError(
                f"{self.config.out} was taught by a checkpoint of {theirs['images']:,} pairs, --teacher is another one "
                f"(of {ours['images']:,}): give that file, or choose another --out"
            )
        super().restore(state)
