"""The settings of distillation."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from training.config.base import FitConfig
from training.config.pair import PairConfig


class DistilConfig(PairConfig):
    """Fit small CycleGAN generators to a teacher's translations of the training images (Li et al. 2020)."""

    FREE_ON_RESUME: ClassVar[frozenset[str]] = FitConfig.FREE_ON_RESUME | {"teacher"}

    teacher: list[Path] = Field(min_length=1, max_length=2)
    """Checkpoint or run folder of 'gan-train cyclegan', or the published .onnx files of both directions, separated by a
    comma. Discriminators that a checkpoint has learn on beside the new generators; others are new."""
    out: Path = Path("runs/distilled")
    """Run folder for checkpoints, samples and statistics; if it holds a checkpoint, the run resumes from there."""
    teacher_weight: float = Field(10.0, ge=0)
    """Weight of each distance from the teacher's translation."""
