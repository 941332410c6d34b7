"""The settings that fits of two generators between two image domains share."""

import re
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from training.config.base import FitConfig
from training.losses.cyclegan import Adversarial
from training.networks.cyclegan import GeneratorNorm, Preset

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
"""Defaults of a pair's settings with --discriminator projected."""


class PairConfig(FitConfig):
    """What fits of two generators between two folders of unpaired images share."""

    UNIT: ClassVar[str] = "pairs"
    RETIRED: ClassVar[Mapping[str, object]] = {
        "antialias": "none",
        "attention": False,
        "coarse": False,
        "discriminator_filters": None,
        "discriminator_norm": "instance",
        "r1_weight": 0,
        "residual": False,
        "return_weight": 0,
        "spike_weight": 0,
    }
    RETIRED_SHAPES: ClassVar[Mapping[str, Container[object]]] = {
        "antialias": ("none", "discriminators"),
        "attention": (False,),
        "coarse": (False,),
        "residual": (False,),
    }

    pair: str = "horse2zebra"
    """Folder under the data folder with trainA and trainB; its two words name the domains. Without testA or testB every
    tenth training image is held out for tests."""
    preset: Preset = "compact"
    """'reference' is the paper's network, 'compact' one that a CPU can serve, 'tiny' one of half its time."""
    filters: PositiveInt | None = None
    """Generator channels at full resolution, in place of the preset's."""
    blocks: PositiveInt | None = None
    """The generators' residual blocks, in place of the preset's."""
    generator_norm: GeneratorNorm = "instance"
    """Normalisation of the generators' layers: 'instance' is the paper's; with 'none' a pixel of a translation depends
    on its surroundings alone. A generator with norms can start one without, by --init."""
    init: list[Path] = []
    """Where to take the first weights from, separated by commas: a checkpoint of another run, the published .onnx
    files of both directions, or a checkpoint and one .onnx file that replaces that direction's generator (ignored
    when the run resumes)."""
    images: PositiveInt = 266_800
    """Length of the run in pairs; the paper's 200 epochs of horse2zebra are 266,800."""
    batch: PositiveInt = 1
    """Pairs per step, over all processes."""
    ema_images: PositiveFloat = 1_000
    """Half-life, in pairs, of the generators' moving average (the weights that are exported)."""
    tick_images: PositiveInt = 1_000
    """Pairs between status lines, sample grids and checkpoints."""
    discriminator_rate: PositiveFloat = 2e-4
    """Adam's learning rate for the discriminators."""
    resize: PositiveInt = 286
    """Side in pixels to which every image is resized when it is decoded."""
    crop: int = Field(256, ge=32, multiple_of=4)
    """Side in pixels of the random crops to fit on; a multiple of 4, at most --resize."""
    discriminator: DiscriminatorKind = "patch"
    """'patch' is the paper's PatchGAN; 'projected' sees images through the frozen features of EfficientNet-Lite0 and
    changes the defaults of --adversarial (hinge), --rate (1e-4), --discriminator-rate (4e-4), --warmup-images (100),
    --augment (on), --pool (0) and --ema-images (300)."""
    weights: Path = Path("weights")
    """Folder with EfficientNet-Lite0's weights, for --discriminator projected (docs/fitting/scores.md says which)."""
    adversarial: Adversarial = "least_squares"
    """Adversarial loss: least squares as in the paper, the lecture's cross-entropy, or hinge."""
    warmup_images: int = Field(0, ge=0)
    """Pairs over which the generators' learning rate rises from zero, so that new discriminators can catch up."""
    pool: int = Field(50, ge=0)
    """Generated images kept to show the discriminators again; 0 shows only new ones."""
    augment: bool = False
    """Show the discriminators every image, real or generated, through a small random change (Zhao et al. 2020)."""

    @classmethod
    def translated(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Older checkpoints list policies of augmentation: an empty list means none."""
        return {**settings, "augment": False} if settings.get("augment") == [] else dict(settings)

    @field_validator("pair")
    @classmethod
    def _can_be_published(cls, pair: str) -> str:
        """Refuses a pair whose models could not be published, before they are fitted."""
        if not re.fullmatch(r"[a-z013-9][a-z013-9_-]*2[a-z013-9][a-z013-9_-]*", pair):
            raise ValueError(
                "the published models are named after it: expected two words of small letters, digits other than 2, "
                "- and _, with a 2 between them, as in horse2zebra; rename the folder"
            )
        return pair

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_discriminator(cls, settings: object) -> object:
        if isinstance(settings, Mapping) and settings.get("discriminator") == "projected":
            return {**PROJECTED_DEFAULTS, **settings}
        return settings

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        if self.crop > self.resize:
            raise ValueError(f"--crop {self.crop} is larger than --resize {self.resize}: make it smaller")
        if self.discriminator == "projected" and self.crop % 32:
            raise ValueError(f"--discriminator projected needs a crop that is a multiple of 32, got {self.crop}")
        return self
