"""What calls return, read from responses."""

import io
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class Digits:
    """Digits of a sampler."""

    array: NDArray[np.uint8]
    """uint8 (count, 28, 28), from 0 for paper to 255 for ink."""
    model: str
    """Model that made them, as name/version."""
    seed: int | None
    """Seed of the first digit; digit i has seed + i modulo 2^64. None for digits between two seeds."""

    @classmethod
    def between(cls, response: httpx.Response) -> Self:
        """Reads digits between two seeds, in NumPy's format."""
        return replace(cls.of_response(response), seed=None)

    @classmethod
    def of_response(cls, response: httpx.Response) -> Self:
        """Reads digits in NumPy's format."""
        array = np.load(io.BytesIO(response.content), allow_pickle=False)
        seed = response.headers.get("X-Seed")
        return cls(array, response.headers["X-Model"], None if seed is None else int(seed))

    @property
    def images(self) -> list[Image.Image]:
        """One grey image of 28x28 a digit."""
        return [Image.fromarray(digit) for digit in self.array]

    @property
    def sheet(self) -> Image.Image:
        """All digits in one grey image, about square, row by row without gaps."""
        columns = math.ceil(math.sqrt(len(self.array)))
        sheet = Image.new("L", (28 * columns, 28 * math.ceil(len(self.array) / columns)))
        for place, digit in enumerate(self.images):
            sheet.paste(digit, (28 * (place % columns), 28 * (place // columns)))
        return sheet


@dataclass(frozen=True)
class Translation:
    """A translated image."""

    file: bytes
    """The image file as the service sent it."""
    media_type: str
    """Media type of the file: image/png, image/jpeg or image/webp."""
    model: str
    """Model that made it, as name/version."""
    model_size: tuple[int, int]
    """Width and height inside the model."""

    @classmethod
    def of_response(cls, response: httpx.Response) -> Self:
        """Reads a translated image."""
        width, height = response.headers["X-Size"].split("x")
        headers = response.headers
        return cls(response.content, headers["Content-Type"], headers["X-Model"], (int(width), int(height)))

    @property
    def image(self) -> Image.Image:
        """The decoded image."""
        image = Image.open(io.BytesIO(self.file))
        image.load()
        return image

    @property
    def array(self) -> NDArray[np.uint8]:
        """The decoded image as uint8 (height, width, 3), in RGB."""
        return np.asarray(self.image.convert("RGB"))

    def save(self, path: str | Path) -> None:
        """Writes the file as the service sent it."""
        Path(path).write_bytes(self.file)


@dataclass(frozen=True)
class Model:
    """A loaded model."""

    id: str
    """Value for the parameter `model`: name/version."""
    task: str
    """sample or translate."""
    direction: str | None
    """Direction of a translation, for example horse2zebra."""
    labels: bool
    """Whether a sampler takes the parameter `digit`."""
    default: bool
    """Whether the model serves calls that name none."""
    provider: str
    """ONNX Runtime's execution provider that runs the model."""
    precision: str
    """Precision of the loaded file: fp32 or fp16."""

    @classmethod
    def of_response(cls, response: httpx.Response) -> list[Self]:
        """Reads the list of models; fields that are not known here are ignored."""
        return [cls._of(item) for item in response.json()["models"]]

    @classmethod
    def _of(cls, item: dict[str, Any]) -> Self:
        return cls(**{name: item[name] for name in cls.__dataclass_fields__})
