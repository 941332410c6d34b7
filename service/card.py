"""The model card: what `gan-export` writes beside a model and inside it, and what the service reads.

It lives with the reader, because the reader decides what it accepts.
"""

import hashlib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

CARD_FILE = "card.json"
MODEL_FILE = "model.onnx"
METADATA_KEY = "model_card"

Task = Literal["sample", "translate"]
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
    """Everything a reader of the model needs; sha256 is absent inside the file itself."""

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


def read_card(folder: Path) -> ModelCard:
    """The card of a model folder, its file checked against the hash. Raises CardError with the reason."""
    path, model = folder / CARD_FILE, folder / MODEL_FILE
    for file in (path, model):
        if not file.is_file():
            raise CardError(f"{folder} has no {file.name}: export the model again with gan-export")
    try:
        card = ModelCard.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        raise CardError(f"{path} is not a model card ({'.'.join(map(str, first['loc']))}: {first['msg']})") from error
    if (card.name, card.version) != (folder.parent.name, folder.name):
        raise CardError(
            f"{path} is the card of {card.name}/{card.version}: a model's folder carries its name and version"
        )
    found = sha256_of(model)
    if card.sha256 != found:
        raise CardError(
            f"{model} has sha256 {found[:12]}..., its card says {str(card.sha256)[:12]}...: export it again"
        )
    return card


def sha256_of(path: Path) -> str:
    """Hash of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
