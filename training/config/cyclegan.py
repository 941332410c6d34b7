"""The settings of CycleGAN."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from training.config.pair import PairConfig


class CycleGanConfig(PairConfig):
    """Fit CycleGAN (Zhu et al. 2017) on two folders of unpaired images."""

    out: Path = Path("runs/horse2zebra")
    """Run folder for checkpoints, samples and statistics; if it holds a checkpoint, the run resumes from there."""
    only: Literal["G", "F"] | None = None
    """Fit one generator, G (X to Y) or F (Y to X), for half the cost; the other one keeps the averaged weights that
    --init has of it and only closes the cycle."""
    cycle_weight: float = Field(10.0, ge=0)
    """Weight of each cycle loss (lambda in the paper)."""
    identity_weight: float = Field(5.0, ge=0)
    """Weight of each identity loss."""
    identity_every: PositiveInt = 1
    """Steps from one identity loss to the next; the loss is multiplied by this number, so that its mean stays."""
    change_weight: float = Field(0.0, ge=0)
    """Weight of the loss on what a translation changes, which keeps what the discriminators do not ask to change, such
    as the background; 0 leaves it out."""

    @property
    def period_steps(self) -> int:
        """Number of steps after which the kinds of step repeat: one in `identity_every` has the identity losses."""
        return self.identity_every if self.identity_weight else 1

    @model_validator(mode="after")
    def _options_agree(self) -> Self:
        if self.only and not self.init:
            raise ValueError(f"--only {self.only} needs --init for the other generator, also when the run resumes")
        return self
