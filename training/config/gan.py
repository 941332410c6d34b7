"""The settings of the vanilla GAN."""

from collections.abc import Container, Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from training.config.base import FitConfig
from training.losses.gan import GeneratorLoss

Regulariser = Literal["r1", "spectral", "none"]


class GanConfig(FitConfig):
    """Fit the vanilla GAN of Goodfellow et al. 2014 on MNIST."""

    RETIRED: ClassVar[Mapping[str, object]] = {"stacked": False}
    RETIRED_SHAPES: ClassVar[Mapping[str, Container[object]]] = {"stacked": (False,)}

    out: Path = Path("runs/mnist")
    """Run folder for checkpoints, samples and statistics; if it holds a checkpoint, the run resumes from there."""
    images: PositiveInt = 600_000
    """Length of the run in images; MNIST has 60,000."""
    batch: PositiveInt = 64
    """Images per step, over all processes."""
    ema_images: PositiveFloat = 10_000
    """Half-life, in images, of the generator's moving average (the weights that are exported)."""
    tick_images: PositiveInt = 19_200
    """Images between status lines, sample grids and checkpoints."""
    rate: PositiveFloat = 6e-4
    """Adam's learning rate for the generator."""
    loss: GeneratorLoss = "non_saturating"
    """The generator's loss: the paper's game value, or its substitute that does not saturate."""
    regulariser: Regulariser = "r1"
    """What keeps the discriminator smooth: the R1 penalty, spectral normalisation, or nothing."""
    r1_weight: PositiveFloat = 0.01
    """Weight of the R1 penalty (gamma); ten times as much already blurs edges."""
    r1_every: PositiveInt = 16
    """Steps from one R1 penalty to the next; the penalty is multiplied by this number, so that its mean stays."""
    conditional: bool = False
    """Learn to write the digit that is asked for."""
    clusters: int = Field(0, ge=0)
    """Number of clusters of digits, found by k-means without labels, that the noise chooses from; 0 for none."""
    latent: PositiveInt = 64
    """Length of the noise vector z."""
    width: PositiveInt = 32
    """Generator channels at 14x14."""
    discriminator_rate: PositiveFloat = 6e-4
    """Adam's learning rate for the discriminator."""
    discriminator_width: PositiveInt = 64
    """Discriminator channels at 14x14."""
    cache: Path = Path("runs/cache")
    """Folder that keeps the digit classifier that detects mode collapse; it is fitted in a minute if absent."""
    collapse_warmup_images: int = Field(60_000, ge=0)
    """Images before mode collapse can be reported."""

    @property
    def period_steps(self) -> int:
        """Number of steps after which the kinds of step repeat: one in `r1_every` has the R1 penalty."""
        return self.r1_every if self.regulariser == "r1" else 1

    @model_validator(mode="after")
    def _clusters_stand_alone(self) -> Self:
        if self.clusters and self.conditional:
            raise ValueError("--clusters replaces labels, --conditional needs them: give one of them")
        if self.clusters == 1:
            raise ValueError("--clusters 1 leaves nothing to choose from: give 2 or more, or 0")
        return self
