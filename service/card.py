"""The model card: what `gan-export` writes beside a model and inside it, and what the service reads.

It lives with the reader, because the reader decides what it accepts.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

CARD_FILE = "card.json"
MODEL_FILE = "model.onnx"
HALF_FILE: Final = "model.fp16.onnx"
METADATA_KEY = "model_card"

Task = Literal["sample", "translate"]
Precision = Literal["fp32", "fp16"]
NAME_PATTERN = r"^[a-z0-9][a-z0-9-]*$"


class CardError(Exception):
    """A model folder that cannot be served; the message says which and why."""


class _Part(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid", frozen=True, allow_inf_nan=False)


class TensorSpec(_Part):
    """One tensor of the graph."""

    name: str
    """Name in the ONNX graph."""
    type: Literal["float32", "uint8", "int64"]
    """Element type."""
    shape: tuple[str | int, ...]
    """Axes; a word stands for a size chosen at run time."""
    range: str
    """What the values mean."""


class SizeRule(_Part):
    """Which image sizes a translation accepts."""

    multiple: int
    """Height and width are multiples of this."""
    minimum: int
    """Height and width are at least this."""


class Score(_Part):
    """One figure of quality, measured on the exported file."""

    metric: str
    """What was measured, features included: 'FID (Inception)' and 'FID (digit classifier)' are two metrics."""
    value: float
    """The figure."""
    low: float | None = None
    """Lower end of its 95% bootstrap interval."""
    high: float | None = None
    """Upper end of its 95% bootstrap interval."""
    protocol: str
    """How many samples, against what, how prepared."""


class Parity(_Part):
    """How far ONNX Runtime's answer is from PyTorch's on the same inputs."""

    max_difference: int
    """Largest difference of a pixel, in grey levels of 255."""
    differing_share: float
    """Share of pixels that differ at all."""
    tolerance: int
    """Largest difference that is published."""
    checked: tuple[str, ...]
    """Input shapes, each run with ONNX Runtime's optimisations on and off."""


class HalfParity(_Part):
    """How far the half-precision file's answer is from PyTorch's in fp32, computed on the CPU.

    ONNX Runtime's CPU provider has no half-precision arithmetic: it widens every operand and keeps what it gets. So the
    file was run as it is, and again with every result rounded to half precision, which is what a GPU stores.
    """

    mean_difference: float
    """Difference of a pixel on average, in grey levels of 255; of the worse of both runs, as all figures here."""
    max_difference: int
    """Largest difference of a pixel."""
    mean_tolerance: float
    """Average difference that is published."""
    max_tolerance: int
    """Largest difference that is published."""
    checked: tuple[str, ...]
    """Input shapes, each run with ONNX Runtime's optimisations on and off."""


class HalfPrecision(_Part):
    """The same network in half precision, for CUDA."""

    file: Literal["model.fp16.onnx"] = HALF_FILE
    """Name of the file, beside the card."""
    precision: Literal["fp16"] = "fp16"
    """In which it computes; normalisation and the scaling of pixels stay in fp32."""
    parity: HalfParity
    """Agreement with PyTorch."""
    sha256: str | None = None
    """Hash of the file; absent inside the files themselves."""


@dataclass(frozen=True)
class Artefact:
    """A file of a model that can be loaded."""

    file: str
    """Its name in the model's folder."""
    precision: Precision
    """In which it computes."""
    sha256: str
    """Its hash."""


class Training(_Part):
    """Where the weights come from."""

    images: int
    """Images (pairs for CycleGAN) seen."""
    dataset: dict[str, Any]
    """Name and sha256 of what was fitted on."""
    config: dict[str, Any]
    """Every setting of the run."""
    history: tuple[dict[str, Any], ...] = ()
    """Images and settings of the runs whose weights this one started from, oldest first."""
    git_commit: str
    """Commit of this repository that fitted them."""
    torch: str
    """PyTorch's version."""


class ModelCard(_Part):
    """Everything a reader of the model needs; hashes are absent inside the files themselves."""

    name: str = Field(pattern=NAME_PATTERN)
    """Model name, the first folder under models/."""
    version: str = Field(pattern=NAME_PATTERN)
    """Version, the second folder."""
    task: Task
    """'sample' turns noise into digits, 'translate' an image into another."""
    direction: str | None = None
    """Of a translation: horse2zebra or zebra2horse."""
    preset: str | None = None
    """Of a translation: which network."""
    input: TensorSpec
    """What the graph takes."""
    label: TensorSpec | None = None
    """Of a sampler that writes the digit asked for: its second input."""
    output: TensorSpec
    """What the graph gives."""
    latent: int | None = None
    """Of a sampler, which always has it: length of z, drawn from N(0, 1)."""
    size: SizeRule | None = None
    """Of a translation, which always has it: accepted sizes."""
    training: Training
    """Where the weights come from."""
    parity: Parity
    """Agreement with PyTorch."""
    half: HalfPrecision | None = None
    """Of a translation whose half-precision file passed its check: that file."""
    export_git_commit: str
    """Commit of this repository that exported the file."""
    scores: tuple[Score, ...] = ()
    """Quality, measured on this file's graph."""
    sha256: str | None = None
    """Hash of the .onnx file."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.task == "sample" and self.latent is None:
            raise ValueError("a sampler's card needs latent")
        if self.task == "translate" and (self.direction is None or self.size is None):
            raise ValueError("a translation's card needs direction and size")
        return self

    @property
    def full_artefact(self) -> Artefact:
        """The file in fp32, which every model has."""
        return Artefact(MODEL_FILE, "fp32", str(self.sha256))

    @property
    def half_artefact(self) -> Artefact | None:
        """The file in half precision, where there is one."""
        half = self.half
        return Artefact(half.file, half.precision, str(half.sha256)) if half else None


def unreadable(error: OSError, folder: Path) -> CardError:
    """What to say of a file or folder, or of what is in `folder`, that the system does not give the service."""
    cure = ": let the user that runs the service read it" if isinstance(error, PermissionError) else ""
    return CardError(f"{error.filename or folder}: {error.strerror}{cure}")


def read_card(folder: Path) -> ModelCard:
    """The card of a model folder, its files checked against their hashes. Raises CardError with the reason."""
    try:
        return _read_card(folder)
    except OSError as error:
        raise unreadable(error, folder) from error


def _read_card(folder: Path) -> ModelCard:
    path = folder / CARD_FILE
    _require(path)
    try:
        card = ModelCard.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        raise CardError(f"{path} is not a model card ({'.'.join(map(str, first['loc']))}: {first['msg']})") from error
    if (card.name, card.version) != (folder.parent.name, folder.name):
        raise CardError(
            f"{path} is the card of {card.name}/{card.version}: a model's folder carries its name and version"
        )
    for artefact in filter(None, (card.full_artefact, card.half_artefact)):
        model = folder / artefact.file
        _require(model)
        found = sha256_of(model)
        if artefact.sha256 != found:
            raise CardError(
                f"{model} has sha256 {found[:12]}..., its card says {artefact.sha256[:12]}...: export it again"
            )
    return card


def _require(file: Path) -> None:
    if not file.is_file():
        raise CardError(f"{file.parent} has no {file.name}: export the model again with gan-export")


def sha256_of(path: Path) -> str:
    """Hash of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
