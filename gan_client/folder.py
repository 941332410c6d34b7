"""Which images of files and folders are translated into which files, and how an interrupted run continues.

A translation is written under a temporary name and renamed: whatever has its own name is whole, and is skipped the
next time.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Self

from gan_client.calls import Format, Size
from gan_client.errors import ClientError
from imaging.names import SUFFIXES, is_image, translation_format, translation_name

RECORD = ".gan-client.json"
"""File of the output folder that says how its translations were made."""


@dataclass(frozen=True)
class Options:
    """What decides on the pixels of a translation."""

    direction: str
    model: str
    """Model, as name/version."""
    size: Size | None
    detail: Literal["on", "off"] | None
    format: Format | None


@dataclass(frozen=True)
class Shard:
    """A part of all images: those whose name falls to `index` of `count`."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads 'i/n'. Raises ClientError."""
        index, slash, count = text.partition("/")
        if not (slash and index.isdecimal() and count.isdecimal() and int(index) < int(count)):
            raise ClientError(f"--shard: expected i/n with i from 0 to n - 1, for example 0/4, got {text!r}")
        return cls(int(index), int(count))

    def has(self, name: str) -> bool:
        """Whether an image belongs to the shard; a name's shard does not depend on the other images."""
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8]) % self.count == self.index


class Job(NamedTuple):
    """An image to translate."""

    source: Path
    target: Path
    format: Format

    @property
    def done(self) -> bool:
        """Whether the translation is there. A crash of the machine may leave empty files."""
        try:
            return self.target.stat().st_size > 0
        except OSError:
            return False


def write_whole(file: Path, content: bytes) -> None:
    """Writes a file, and its folder if need be; its name appears when it is whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{secrets.token_hex(8)}.part")
    try:
        part.write_bytes(content)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


class Plan:
    """The jobs of a run. They are found by walking the folders each time, so that memory does not grow with them."""

    def __init__(self, inputs: Sequence[Path], out: Path, format: Format | None, shard: Shard) -> None:
        """Takes files and folders. Raises ClientError for one that is missing, no image, or has the name of another.

        A file is translated to `out`/its name, a folder to `out`/its name/..., as `cp -r` copies.
        """
        self._out, self._format, self._shard = out, format, shard
        self._inputs: dict[str, Path] = {}
        for path in inputs:
            name = path.resolve().name
            if not path.is_dir():
                if not path.is_file():
                    raise ClientError(f"{path} is neither a file nor a folder")
                if not is_image(name):
                    raise ClientError(
                        f"{path} is no image by its name: expected is one of {', '.join(sorted(SUFFIXES))}"
                    )
            if path.is_dir() and out.resolve().is_relative_to(path.resolve()):
                raise ClientError(f"{out} is inside {path}: choose a folder outside for the translations")
            other = self._inputs.setdefault(name, path)
            if other is not path:
                raise ClientError(f"{other} and {path} have the same name: translate them into two folders")

    def __iter__(self) -> Iterator[Job]:
        for name, path in self._inputs.items():
            for relative in _images_below(path, name) if path.is_dir() else [name]:
                if self._shard.has(relative):
                    source = path / Path(relative).relative_to(name)
                    kind = translation_format(relative, self._format)
                    yield Job(source, self._out / translation_name(relative, kind), kind)


def record(out: Path, options: Options) -> None:
    """Notes in the output folder how its translations are made. Raises ClientError if it has others already."""
    out.mkdir(parents=True, exist_ok=True)
    file = out / RECORD
    wanted = asdict(options)
    try:
        found = json.loads(file.read_text())
    except FileNotFoundError:
        write_whole(file, json.dumps(wanted).encode())
        return
    except ValueError as error:
        raise ClientError(f"{file} cannot be read ({error}): choose another folder for the translations") from error
    if found != wanted:
        raise ClientError(
            f"{out} has translations made with {json.dumps(found)}, not with {json.dumps(wanted)}: "
            "choose another folder, or the same model, size, detail and format"
        )


def _images_below(folder: Path, name: str) -> Iterator[str]:
    """Names of the images of a folder and those below it, beginning with `name`; links to folders are not followed."""
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            if not entry.name.startswith("."):
                yield from _images_below(folder / entry.name, f"{name}/{entry.name}")
        elif is_image(entry.name) and entry.is_file():
            yield f"{name}/{entry.name}"
