"""What can be set on a fit, one class a task; every field's docstring is its help text."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, field_validator, model_validator
from pydantic_core import to_jsonable_python

from training.losses.cyclegan import Adversarial
from training.losses.gan import GeneratorLoss
from training.networks.cyclegan import Norm, Preset

DiscriminatorKind = Literal["patch", "projected"]

PROJECTED_DEFAULTS: dict[str, Any] = {
    "adversarial": "hinge",
    "rate": 1e-4,
    "discriminator_rate": 4e-4,
    "warmup_images": 100,
    "augment": True,
    "pool": 0,
    "ema_images": 300,
}
"""What a pair's settings are with --discriminator projected where they are not given."""


class FitConfig(BaseModel):
    """What both fits share. Progress is counted in images (for CycleGAN: pairs), never in steps."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")

    #: Fields that a resumed run may change: they say where and how fast, not what is learnt.
    FREE_ON_RESUME: ClassVar[frozenset[str]] = frozenset(
        {
            "data",
            "out",
            "cache",
            "images",
            "minutes",
            "device",
            "precision",
            "compile",
            "threads",
            "tick_images",
            "init",
            "weights",
        }
    )

    #: What progress is counted in.
    UNIT: ClassVar[str] = "images"

    data: Path = Path("data")
    """Folder that holds the data sets (see 'gan-train download')."""
    out: Path
    """Run folder for checkpoints, samples and statistics; if it holds a checkpoint, the run goes on from there."""
    images: PositiveInt
    """Length of the run in images (pairs for CycleGAN)."""
    minutes: PositiveFloat | None = None
    """Length of the run by the clock, over all its resumptions, instead of images; the learning rate falls with it."""
    batch: PositiveInt
    """Images a step, over all processes."""
    rate: PositiveFloat = 2e-4
    """Adam's learning rate for the generators; narrow ones bear a higher one."""
    decay_from: float = Field(0.5, ge=0, le=1)
    """Fraction of the run after which the learning rate falls linearly to zero; 1 keeps it constant."""
    ema_images: PositiveFloat
    """Half-life, in images, of the generator's moving average (the weights that are exported)."""
    seed: int = Field(0, ge=0)
    """Fixes every random draw of the run."""
    device: Literal["auto", "cuda", "cpu"] = "auto"
    """Where to fit: 'auto' takes a GPU when there is one."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Arithmetic: 'auto' is bf16 autocast where the hardware has it, fp32 elsewhere."""
    compile: bool = False
    """Run the networks through torch.compile (a minute or more to start, faster after)."""
    threads: int = Field(0, ge=0)
    """CPU threads; 0 leaves PyTorch's choice."""
    tick_images: PositiveInt
    """Images between status lines, sample grids and checkpoints."""
    init: list[Path] = Field([], max_length=1)
    """Checkpoint of another run to start the weights from (ignored when the run resumes)."""

    @property
    def period_steps(self) -> int:
        """Steps after which their kinds repeat."""
        return 1

    @classmethod
    def unknown(cls, settings: Mapping[str, Any]) -> str:
        """What a checkpoint's settings ask for that this version does not have, such as 'attention'; '' for nothing."""
        return ", ".join(name for name, value in settings.items() if name not in cls.model_fields and value)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """What a checkpoint holds of settings left alone, and means by settings that are newer than it."""
        fields = {name: field for name, field in cls.model_fields.items() if not field.is_required()}
        return {name: to_jsonable_python(f.get_default(call_default_factory=True)) for name, f in fields.items()}


Regulariser = Literal["r1", "spectral", "none"]
Antialias = Literal["none", "discriminators", "all"]


class GanConfig(FitConfig):
    """Fit the vanilla GAN of Goodfellow et al. 2014 on MNIST."""

    out: Path = Path("runs/mnist")
    """Run folder for checkpoints, samples and statistics; if it holds a checkpoint, the run goes on from there."""
    images: PositiveInt = 600_000
    """Length of the run in images; MNIST has 60,000."""
    batch: PositiveInt = 64
    """Images a step, over all processes."""
    ema_images: PositiveFloat = 10_000
    """Half-life, in images, of the generator's moving average (the weights that are exported)."""
    tick_images: PositiveInt = 19_200
    """Images between status lines, sample grids and checkpoints."""
    rate: PositiveFloat = 6e-4
    """Adam's learning rate for the generator; one this narrow bears three times DCGAN's."""
    loss: GeneratorLoss = "non_saturating"
    """The generator's loss: the paper's game value, or its substitute that does not saturate."""
    regulariser: Regulariser = "r1"
    """What keeps the discriminator smooth: the R1 penalty, spectral normalisation, or nothing."""
    r1_weight: PositiveFloat = 0.01
    """Weight of the R1 penalty (gamma); ten times as much already blurs edges."""
    r1_every: PositiveInt = 16
    """Steps from one R1 penalty to the next; its weight is scaled by as much, so that its mean stays."""
    conditional: bool = False
    """Learn to write the digit that is asked for."""
    clusters: int = Field(0, ge=0)
    """Kinds of digit, found by k-means and without labels, that the noise chooses from (self-conditioned; 0: none)."""
    stacked: bool = False
    """Fit stacked MNIST, three digits in one picture and 1,000 modes: a test of coverage that is not exported."""
    latent: PositiveInt = 64
    """Length of the noise vector z."""
    width: PositiveInt = 32
    """Generator channels at 14x14."""
    discriminator_rate: PositiveFloat = 6e-4
    """Adam's learning rate for the discriminator; with spectral normalisation it bears twice as much."""
    discriminator_width: PositiveInt = 64
    """Discriminator channels at 14x14."""
    cache: Path = Path("runs/cache")
    """Folder that keeps the digit classifier which watches for mode collapse; fitted in a minute when absent."""
    collapse_warmup_images: int = Field(60_000, ge=0)
    """Images before the watch for mode collapse begins."""

    @property
    def period_steps(self) -> int:
        """Steps after which their kinds repeat: one in so many pays R1."""
        return self.r1_every if self.regulariser == "r1" else 1

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.conditional and self.stacked:
            raise ValueError("--conditional asks for one of ten digits, --stacked has 1,000 kinds: choose one of them")
        if self.clusters and (self.conditional or self.stacked):
            raise ValueError("--clusters finds kinds of plain digits: leave it out with --conditional and --stacked")
        if self.clusters == 1:
            raise ValueError("--clusters 1 leaves nothing to choose from: 2 or more, or 0")
        return self


class PairConfig(FitConfig):
    """What fits of two generators between two folders of unpaired images share."""

    UNIT: ClassVar[str] = "pairs"

    pair: str = "horse2zebra"
    """Folder under the data folder with trainA, trainB, testA and testB; its two words name the domains."""
    preset: Preset = "compact"
    """'reference' is the paper's network, 'compact' one that a CPU can serve."""
    filters: PositiveInt | None = None
    """Generator channels at full resolution, in place of the preset's."""
    blocks: PositiveInt | None = None
    """The generators' residual blocks, in place of the preset's."""
    antialias: Antialias = "none"
    """Blur before the maps of these networks shrink and after they grow; in generators it costs whoever serves them."""
    init: list[Path] = []
    """What to start the weights from: a checkpoint of another run; or the .onnx files of both directions, with a comma
    between, which leaves the discriminators new; or a checkpoint and one such file, for that direction's generator
    (ignored when the run resumes)."""
    images: PositiveInt = 266_800
    """Length of the run in pairs; the paper's 200 epochs of horse2zebra are 266,800."""
    batch: PositiveInt = 1
    """Pairs a step, over all processes."""
    ema_images: PositiveFloat = 1_000
    """Half-life, in pairs, of the generators' moving average (the weights that are exported)."""
    tick_images: PositiveInt = 1_000
    """Pairs between status lines, sample grids and checkpoints."""
    discriminator_rate: PositiveFloat = 2e-4
    """Adam's learning rate for the discriminators."""
    resize: PositiveInt = 286
    """Side to which every picture is resized when it is decoded."""
    crop: int = Field(256, ge=32, multiple_of=4)
    """Side of the random crops that are learnt from; a multiple of 4, at most the resized side."""
    discriminator: DiscriminatorKind = "patch"
    """'patch' is the paper's PatchGAN; 'projected' judges images by the frozen features of EfficientNet-Lite0 and
    changes the defaults of --adversarial (hinge), --rate (1e-4), --discriminator-rate (4e-4), --warmup-images (100),
    --augment (on), --pool (0) and --ema-images (300)."""
    weights: Path = Path("weights")
    """Folder with EfficientNet-Lite0's weights, for --discriminator projected (docs/scores.md says where from)."""
    adversarial: Adversarial = "least_squares"
    """Adversarial loss: least squares as in the paper, the lecture's cross-entropy, or hinge."""
    warmup_images: int = Field(0, ge=0)
    """Pairs over which the generators' learning rate rises from zero, so that new discriminators can catch up."""
    spike_weight: float = Field(0.0, ge=0)
    """Weight of the penalty on spikes above 6 standard deviations in the generators' normalised maps, which show as
    blots; 0 leaves it out."""
    pool: int = Field(50, ge=0)
    """Generated images kept to show the discriminators again; 0 shows only new ones."""
    augment: bool = False
    """Show the discriminators every image, real or generated, through a small random change (Zhao et al. 2020)."""
    r1_weight: float = Field(0.0, ge=0)
    """Weight of the R1 penalty, which keeps the discriminators smooth; 0 leaves it out."""
    r1_every: PositiveInt = 16
    """Steps from one R1 penalty to the next; its weight is scaled by as much, so that its mean stays."""

    @field_validator("pair")
    @classmethod
    def _can_be_published(cls, pair: str) -> str:
        """Or it would be refused when it has been fitted."""
        if not re.fullmatch(r"[a-z013-9][a-z013-9-]*2[a-z013-9][a-z013-9-]*", pair):
            raise ValueError(
                "what is published is called by it: two words of small letters, other digits and -, with a 2 between "
                "them, as in horse2zebra; call the folder so"
            )
        return pair

    @property
    def period_steps(self) -> int:
        """Steps after which their kinds repeat."""
        return self.r1_every if self.r1_weight else 1

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_discriminator(cls, settings: object) -> object:
        if isinstance(settings, Mapping) and settings.get("discriminator") == "projected":
            return {**PROJECTED_DEFAULTS, **settings}
        return settings

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.crop > self.resize:
            raise ValueError(f"crop {self.crop} is larger than resize {self.resize}: make it smaller")
        if self.discriminator == "projected" and self.r1_weight:
            raise ValueError("--r1-weight is for patch discriminators: leave it out with --discriminator projected")
        return self


class CycleGanConfig(PairConfig):
    """Fit CycleGAN (Zhu et al. 2017) on two folders of unpaired images."""

    FREE_ON_RESUME: ClassVar[frozenset[str]] = FitConfig.FREE_ON_RESUME | {"extrapolate_from"}

    out: Path = Path("runs/horse2zebra")
    """Run folder for checkpoints, samples and statistics; if it holds a checkpoint, the run goes on from there."""
    only: Literal["G", "F"] | None = None
    """The one generator that learns, in half the arithmetic: G (X to Y) or F (Y to X). The other one stays as --init
    has it, averaged, and only brings pictures back."""
    extrapolate: float | None = Field(None, gt=1, allow_inf_nan=False)
    """With --only: how many times as far from --extrapolate-from as --init has it the averaged generator starts."""
    extrapolate_from: Path | None = None
    """The published translator (.onnx) that the fit named by --init began with (ignored when the run resumes)."""
    return_weight: float = Field(0.0, ge=0)
    """With --only: weight of the other cycle's loss, in which the one that learns brings back what the other made."""
    discriminator_filters: PositiveInt | None = None
    """The discriminators' channels after their first layer, in place of the preset's."""
    discriminator_norm: Norm = "instance"
    """What normalises the discriminators' layers: the paper's instance normalisation hides a picture's contrast from
    them, spectral normalisation does not."""
    cycle_weight: float = Field(10.0, ge=0)
    """Weight of each cycle loss (lambda in the paper)."""
    identity_weight: float = Field(5.0, ge=0)
    """Weight of each identity loss."""
    identity_every: PositiveInt = 1
    """Steps from one identity loss to the next; its weight is scaled by as much, so that its mean stays."""

    @property
    def period_steps(self) -> int:
        """Steps after which their kinds repeat: one in so many has the identity losses, another R1."""
        return math.lcm(super().period_steps, self.identity_every if self.identity_weight else 1)

    @model_validator(mode="after")
    def _has_what_stands_still(self) -> Self:
        if self.only and not self.init:
            raise ValueError(f"--only {self.only} takes the other generator from --init: name it, resuming as well")
        if (self.extrapolate is None) != (self.extrapolate_from is None):
            raise ValueError("--extrapolate says how far, --extrapolate-from says from where: give both, or neither")
        if self.extrapolate and not self.only:
            raise ValueError("--extrapolate moves one generator: say with --only which one learns")
        if self.return_weight and not self.only:
            raise ValueError("--return-weight is for --only; where both learn, --cycle-weight weighs both cycles")
        return self


class DistilConfig(PairConfig):
    """Fit small CycleGAN generators to what a teacher's make of the training images (Li et al. 2020)."""

    FREE_ON_RESUME: ClassVar[frozenset[str]] = FitConfig.FREE_ON_RESUME | {"teacher"}

    teacher: Path
    """Checkpoint, or run folder, of 'gan-train cyclegan'; its discriminators go on beside the new generators."""
    out: Path = Path("runs/distilled")
    """Run folder for checkpoints, samples and statistics; if it holds a checkpoint, the run goes on from there."""
    teacher_weight: float = Field(10.0, ge=0)
    """Weight of each distance from the teacher's picture."""

    @model_validator(mode="after")
    def _judged_by_the_teachers(self) -> Self:
        if self.antialias == "discriminators":
            raise ValueError("--antialias discriminators has no effect here, they are the teacher's: none or all")
        return self
