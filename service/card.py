"""The model card, which `gan-export` writes beside a model and inside it, and which the service reads.

It is part of the service because the reader decides what it accepts.
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
CARD_BYTES = 2**20
"""Largest card. Reading one stops the service's other threads."""

Task = Literal["sample", "translate"]
Precision = Literal["fp32", "fp16"]
NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]*$"


class CardError(Exception):
    """A model folder cannot be served; the message says which one and why."""


class _Part(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid", frozen=True, allow_inf_nan=False)


class TensorSpec(_Part):
    """A tensor of the graph."""

    name: str
    """Name in the ONNX graph."""
    type: Literal["float32", "uint8", "int64"]
    """Element type."""
    shape: tuple[str | int, ...]
    """Axes; a name stands for a size that is chosen at run time."""
    range: str
    """Meaning of the values."""


class SizeRule(_Part):
    """Image sizes that a translation accepts."""

    multiple: int
    """Height and width are multiples of this."""
    minimum: int
    """Height and width are at least this."""
    receptive_radius: int | None = Field(None, ge=0)
    """Pixels around a pixel of the output, in each direction, that it depends on; absent when it depends on them all.
    With it, size=native runs in tiles."""


class Score(_Part):
    """A score of the exported file."""

    metric: str
    """Name of the metric with its features: 'FID (Inception)' and 'FID (digit classifier)' are two metrics."""
    value: float
    """Value of the score."""
    low: float | None = None
    """Lower end of its 95% bootstrap interval."""
    high: float | None = None
    """Upper end of its 95% bootstrap interval."""
    protocol: str
    """Number of samples, what they are compared with, and their preprocessing."""


class Parity(_Part):
    """Difference between the outputs of ONNX Runtime and PyTorch on the same inputs."""

    max_difference: int
    """Largest difference of a pixel, in grey levels (0 to 255)."""
    differing_share: float
    """Share of pixels that differ at all."""
    tolerance: int
    """Largest difference with which a model is published."""
    checked: tuple[str, ...]
    """Input shapes, each run with ONNX Runtime's optimisations on and off."""


class HalfParity(_Part):
    """Difference between the outputs of the half-precision file and PyTorch's in fp32, computed on the CPU.

    ONNX Runtime's CPU provider has no half-precision arithmetic: it widens every operand and does not round results. So
    the file is run as it is, and again with every result rounded to half precision, as a GPU stores it. Each figure is
    the larger one of both runs.
    """

    mean_difference: float
    """Mean difference of a pixel, in grey levels (0 to 255)."""
    max_difference: int
    """Largest difference of a pixel."""
    mean_tolerance: float
    """Largest mean difference with which a model is published."""
    max_tolerance: int
    """Largest difference with which a model is published."""
    checked: tuple[str, ...]
    """Input shapes, each run with ONNX Runtime's optimisations on and off."""


class HalfPrecision(_Part):
    """The same network in half precision, for CUDA."""

    file: Literal["model.fp16.onnx"] = HALF_FILE
    """Name of the file, beside the card."""
    precision: Literal["fp16"] = "fp16"
    """Precision of the file; normalisation and the scaling of pixels stay in fp32."""
    parity: HalfParity
    """Difference from PyTorch."""
    sha256: str | None = None
    """Hash of the file; absent inside the files themselves."""


@dataclass(frozen=True)
class Artefact:
    """A loadable file of a model."""

    file: str
    """Name of the file in the model's folder."""
    precision: Precision
    """Precision of the file."""
    sha256: str
    """Hash of the file."""


class Training(_Part):
    """Origin of the weights."""

    images: int
    """Images seen in training; for CycleGAN, pairs of images."""
    dataset: dict[str, Any]
    """Name and sha256 of the data set."""
    config: dict[str, Any]
    """Every setting of the training run."""
    history: tuple[dict[str, Any], ...] = ()
    """Images and settings of the runs whose weights this one started from, oldest first."""
    git_commit: str
    """Commit of this repository that trained them."""
    torch: str
    """PyTorch's version."""


class ModelCard(_Part):
    """Everything that a reader of the model needs. The copy inside a model file has no hashes."""

    name: str = Field(pattern=NAME_PATTERN)
    """Name of the model, and of its folder in models/."""
    version: str = Field(pattern=NAME_PATTERN)
    """Version of the model, and name of the folder in that."""
    task: Task
    """'sample' turns noise into digits, 'translate' turns an image into another one."""
    direction: str | None = None
    """Direction of a translation: horse2zebra or zebra2horse."""
    preset: str | None = None
    """Network of a translation."""
    input: TensorSpec
    """Input of the graph."""
    label: TensorSpec | None = None
    """Second input of a sampler with labels: the digits to generate."""
    output: TensorSpec
    """Output of the graph."""
    latent: int | None = None
    """Length of z, drawn from N(0, 1); every sampler has one."""
    size: SizeRule | None = None
    """Accepted image sizes; every translation has them."""
    training: Training
    """Origin of the weights."""
    parity: Parity
    """Difference from PyTorch."""
    half: HalfPrecision | None = None
    """The half-precision file of a translation, if it passed its check."""
    export_git_commit: str
    """Commit of this repository that exported the file."""
    scores: tuple[Score, ...] = ()
    """Scores of the model file."""
    sha256: str | None = None
    """Hash of the model file."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.task == "sample" and self.latent is None:
            raise ValueError("a sampler's card needs latent")
        if self.task == "translate" and (self.direction is None or self.size is None):
            raise ValueError("a translation's card needs direction and size")
        return self

    @property
    def full_artefact(self) -> Artefact:
        """The fp32 file, which every model has."""
        return Artefact(MODEL_FILE, "fp32", str(self.sha256))

    @property
    def half_artefact(self) -> Artefact | None:
        """The half-precision file, if there is one."""
        half = self.half
        return Artefact(half.file, half.precision, str(half.sha256)) if half else None


def unreadable(error: OSError, folder: Path) -> CardError:
    """Returns the error for a file or folder, in or at `folder`, that the service cannot read."""
    cure = ": let the user that runs the service read it" if isinstance(error, PermissionError) else ""
    return CardError(f"{error.filename or folder}: {error.strerror}{cure}")


def read_card(folder: Path) -> ModelCard:
    """Reads a model folder's card and checks its files against their hashes. Raises CardError with the reason."""
    try:
        return _read_card(folder)
    except OSError as error:
        raise unreadable(error, folder) from error


def _read_card(folder: Path) -> ModelCard:
    path = folder / CARD_FILE
    _require(path)
    if (size := path.stat().st_size) > CARD_BYTES:
        raise CardError(f"{path} has {size:,} bytes, a card has at most {CARD_BYTES:,}: export the model again")
    try:
        card = ModelCard.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        raise CardError(f"{path} is not a model card ({'.'.join(map(str, first['loc']))}: {first['msg']})") from error
    if (card.name, card.version) != (folder.parent.name, folder.name):
        raise CardError(
            f"{path} is the card of {card.name}/{card.version}: a model's folder must have its name and version"
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
    """Returns the hash of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def version_order(version: str) -> tuple[int, str]:
    """Returns a key that sorts versions, the newest last: numbers by their value, after all others."""
    return (int(version), "") if version.isdigit() else (-1, version)
