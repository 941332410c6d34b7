"""The settings that all fits share."""

from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt
from pydantic_core import to_jsonable_python


class FitConfig(BaseModel):
    """What all fits share. Progress is counted in images (for CycleGAN: pairs), never in steps."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")

    #: Fields that a resumed run may change: they say where and how fast the run computes, not what it learns.
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

    #: Retired settings of old checkpoints, each with the value that means what this version does.
    RETIRED: ClassVar[Mapping[str, object]] = {}

    #: The retired settings that shaped the generator, each with the values that left it as this version builds it.
    RETIRED_SHAPES: ClassVar[Mapping[str, Container[object]]] = {}

    #: What progress is counted in.
    UNIT: ClassVar[str] = "images"

    data: Path = Path("data")
    """Folder that holds the data sets (see 'gan-train download')."""
    out: Path
    """Run folder for checkpoints, samples and statistics; if it holds a checkpoint, the run resumes from there."""
    images: PositiveInt
    """Length of the run in images (pairs for CycleGAN)."""
    minutes: PositiveFloat | None = None
    """Length of the run in minutes, over all its resumptions, in place of --images."""
    batch: PositiveInt
    """Images per step, over all processes."""
    rate: PositiveFloat = 2e-4
    """Adam's learning rate for the generators."""
    decay_from: float = Field(0.5, ge=0, le=1)
    """Fraction of the run after which the learning rates fall linearly to zero; 1 keeps them constant."""
    ema_images: PositiveFloat
    """Half-life, in images, of the generator's moving average (the weights that are exported)."""
    seed: int = Field(0, ge=0)
    """Seed of every random draw of the run."""
    device: Literal["auto", "cuda", "cpu"] = "auto"
    """Where to fit: 'auto' takes a GPU if there is one."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Arithmetic: 'auto' is bf16 autocast where the hardware has it, fp32 elsewhere."""
    compile: bool = False
    """Run the networks through torch.compile (a minute or more to start, faster after)."""
    threads: int = Field(0, ge=0)
    """CPU threads; 0 leaves PyTorch's choice."""
    tick_images: PositiveInt
    """Images between status lines, sample grids and checkpoints."""
    init: list[Path] = Field([], max_length=1)
    """Checkpoint of another run to take the first weights from (ignored when the run resumes)."""

    @property
    def period_steps(self) -> int:
        """Number of steps after which the kinds of step repeat."""
        return 1

    @classmethod
    def unknown(cls, settings: Mapping[str, Any]) -> str:
        """Names of the retired settings that shaped a checkpoint's generator, such as 'attention'; '' if none did.

        This version cannot build such a generator. Other retired settings concern only how it was fitted.
        """
        shapes = cls.RETIRED_SHAPES.items()
        return ", ".join(name for name, same in shapes if name in settings and settings[name] not in same)

    @classmethod
    def translated(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """An older checkpoint's settings, with values that have changed their form as this version writes them."""
        return dict(settings)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """The default of every optional setting, as checkpoints store it.

        A checkpoint that is older than a setting was fitted with its default.
        """
        fields = {name: field for name, field in cls.model_fields.items() if not field.is_required()}
        return {name: to_jsonable_python(f.get_default(call_default_factory=True)) for name, f in fields.items()}
