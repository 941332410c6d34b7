"""The requests of the calls, and what reads their responses. Nothing here sends anything."""

import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal, TypedDict, TypeVar
from urllib.parse import quote

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan_client.results import Digits, Model, Translation

Result = TypeVar("Result")
Format = Literal["png", "jpeg", "webp"]
Size = int | Literal["native"]
Upload = bytes | str | os.PathLike[str] | Image.Image | NDArray[np.uint8]
"""An image to translate: the bytes of a file, the path of one, or pixels, uint8 (height, width, 3) from 0 to 255."""


class TranslateOptions(TypedDict, total=False):
    """The options of a translation; `Client.translate` explains them."""

    size: Size | None
    detail: Literal["on", "off"] | None
    format: Format | None
    model: str | None


@dataclass(frozen=True)
class Call(Generic[Result]):
    """A request, and what makes a result of its response."""

    method: Literal["GET", "POST"]
    path: str
    read: Callable[[httpx.Response], Result]
    params: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


def models() -> Call[list[Model]]:
    """Asks for the loaded models."""
    return Call("GET", "models", Model.of_response)


def sample(count: int, seed: int | None, digit: int | None, model: str | None) -> Call[Digits]:
    """Asks for digits."""
    given = {"count": count, "seed": seed, "digit": digit, "model": model, "format": "npy"}
    return Call("GET", "mnist/sample", Digits.of_response, _params(**given))


def interpolate(first: int, last: int, steps: int, digit: int | None, model: str | None) -> Call[Digits]:
    """Asks for the digits on the way from one seed to another."""
    params = {"from": str(first), "to": str(last), **_params(steps=steps, digit=digit, model=model, format="npy")}
    return Call("GET", "mnist/interpolate", Digits.between, params)


def translate(
    image: Upload,
    direction: str,
    size: Size | None,
    detail: Literal["on", "off"] | None,
    format: Format | None,
    model: str | None,
) -> Call[Translation]:
    """Asks for a translation. Raises OSError for a path that cannot be read."""
    params = _params(size=size, detail=detail, format=format, model=model)
    path = f"translate/{quote(direction, safe='')}"
    return Call("POST", path, Translation.of_response, params, _file_of(image))


def _params(**given: object) -> dict[str, str]:
    """The parameters that are given, as text."""
    return {name: str(value) for name, value in given.items() if value is not None}


def _file_of(image: Upload) -> bytes:
    """The bytes of an image file; pixels become a PNG."""
    if isinstance(image, bytes):
        return image
    if isinstance(image, str | os.PathLike):
        return Path(image).read_bytes()
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
