"""Which files of a folder are images, by their names, and what the file of an image's translation is called."""

from pathlib import PurePosixPath
from typing import Final, Literal

Encoded = Literal["png", "jpeg", "webp"]
"""Formats of translations."""

_SUFFIXES: Final[dict[Encoded, tuple[str, ...]]] = {
    "jpeg": (".jpg", ".jpeg", ".jfif"),
    "png": (".png",),
    "webp": (".webp",),
}
_DECODED_ONLY: Final = (".gif", ".bmp", ".tif", ".tiff", ".avif")
SUFFIXES: Final = frozenset(suffix for found in _SUFFIXES.values() for suffix in found) | set(_DECODED_ONLY)
"""Suffixes of files that are decoded, in lower case."""


def is_image(name: str) -> bool:
    """Whether a file, by its name, is an image that is decoded. Hidden files are none."""
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def translation_format(name: str, wanted: Encoded | None) -> Encoded:
    """The format of an image's translation: `wanted`, else that of its name, else PNG."""
    if wanted is not None:
        return wanted
    suffix = PurePosixPath(name).suffix.lower()
    return next((kind for kind, suffixes in _SUFFIXES.items() if suffix in suffixes), "png")


def translation_name(name: str, kind: Encoded) -> str:
    """The name of an image's translation in the format `kind`: its own, or with one more suffix.

    No two images of a folder, as `is_image` tells them, get the same name. Therefore a name that has two suffixes of
    images gets one more even where the last one fits: x.gif becomes x.gif.png, and x.gif.png becomes x.gif.png.png.
    """
    path = PurePosixPath(name)
    fits = path.suffix.lower() in _SUFFIXES[kind] and not is_image(path.stem)
    return name if fits else f"{name}.{kind}"
