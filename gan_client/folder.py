"""Which images of files and folders are translated into which files, and how an interrupted run continues.

A translation is written under a temporary name and renamed: whatever has its own name is whole, and is skipped the
next time.
"""

import errno
import hashlib
import json
import os
import re
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Self

from gan_client.calls import Format, Size
from gan_client.errors import ClientError
from imaging.names import SUFFIXES, is_image, translation_format, translation_name

FAILURES = re.compile(r"failures(-\d+-of-\d+)?\.jsonl")
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

    @property
    def failures(self) -> str:
        """Name of the file of the shard's failures."""
        return "failures.jsonl" if self.count == 1 else f"failures-{self.index}-of-{self.count}.jsonl"

    def has(self, name: str) -> bool:
        """Whether an image belongs to the shard; a name's shard does not depend on the other images."""
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8]) % self.count == self.index


class Job(NamedTuple):
    """An image to translate."""

    source: Path
    target: Path
    format: Format
    error: OSError | None = None
    """Why the source, an image or a folder, cannot be told or listed."""

    @property
    def done(self) -> bool:
        """Whether the translation is there. A crash of the machine may leave empty files."""
        try:
            return self.error is None and self.target.stat().st_size > 0
        except OSError:
            return False


def make_folder(folder: Path) -> None:
    """Makes a folder where there is none. Raises ClientError when a file has its name."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ClientError(f"{folder} is a file or is below one: choose a folder for the translations") from error


def write_whole(file: Path, content: bytes) -> None:
    """Writes a file, and its folder if need be; its name appears when it is whole."""
    make_folder(file.parent)
    part = file.with_name(f".{secrets.token_hex(8)}.part")
    try:
        part.write_bytes(content)
        part.replace(file)
    except OSError as error:
        error.filename = str(file)  # a full disk is reported without a name
        raise
    finally:
        part.unlink(missing_ok=True)


class Plan:
    """The jobs of a run. They are found by walking the folders each time, so that memory does not grow with them."""

    def __init__(self, inputs: Sequence[Path], out: Path, format: Format | None, shard: Shard) -> None:
        """Takes files and folders. Raises ClientError for one that is missing, no image, or has the name of another,
        and when there is no image at all.

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
            target = name if path.is_dir() else translation_name(name, translation_format(name, format))
            if (out / target).resolve() == path.resolve():
                raise ClientError(f"{path} is in {out} itself: choose another folder for the translations")
            other = self._inputs.setdefault(name, path)
            if other is not path:
                if other.resolve() == path.resolve():
                    raise ClientError(f"{path} is given twice: give it once")
                raise ClientError(f"{other} and {path} have the same name: translate them into two folders")
        if not any(True for _ in self._all()):
            raise ClientError(f"there is no image in {', '.join(map(str, inputs))}")

    def __iter__(self) -> Iterator[Job]:
        return (job for name, job in self._all() if self._shard.has(name))

    def _all(self) -> Iterator[tuple[str, Job]]:
        """The jobs of all shards, with the names that decide on the shard."""
        for name, path in self._inputs.items():
            for relative, error in _images_below(path, name) if path.is_dir() else [(name, None)]:
                source = path / Path(relative).relative_to(name)
                kind = translation_format(relative, self._format)
                yield relative, Job(source, self._out / translation_name(relative, kind), kind, error)


def is_recorded(out: Path, options: Options) -> bool:
    """Whether the output folder has translations that are made so. Raises ClientError if it has others."""
    file = out / RECORD
    wanted = asdict(options)
    try:
        found = json.loads(file.read_text())
    except NotADirectoryError as error:
        raise ClientError(f"{out} is a file or is below one: choose a folder for the translations") from error
    except FileNotFoundError:
        return False
    except ValueError as error:
        raise ClientError(f"{file} cannot be read ({error}): choose another folder for the translations") from error
    if found != wanted:
        raise ClientError(
            f"{out} has translations made with {json.dumps(found)}, not with {json.dumps(wanted)}: "
            "choose another folder, or the same model, size, detail and format"
        )
    return True


def record(out: Path, options: Options) -> None:
    """Notes in the output folder how its translations are made. Raises ClientError if it has others already."""
    if not is_recorded(out, options):
        write_whole(out / RECORD, json.dumps(asdict(options)).encode())


@contextmanager
def alone(out: Path, shard: Shard) -> Iterator[None]:
    """Keeps other runs of the shard out of the output folder, and removes what earlier ones of other shards list.

    Raises ClientError when another run is at work. The lock ends with its process, however that ends.
    """
    make_folder(out)
    lock = out / f".gan-client-{shard.index}-of-{shard.count}.lock"
    with lock.open("w") as file:
        try:
            import fcntl  # Windows has none

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ClientError(
                f"another run is at work in {out}: wait for its end, or choose another folder or --shard"
            ) from error
        except (OSError, ImportError) as error:
            if isinstance(error, OSError) and error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
            print(f"gan-client: {out} has no locks: see to it that no other run writes there", file=sys.stderr)
        current = {Shard(index, shard.count).failures for index in range(shard.count)}
        for path in out.glob("failures*.jsonl"):
            if FAILURES.fullmatch(path.name) and path.name not in current:
                path.unlink(missing_ok=True)
        yield


def _images_below(folder: Path, name: str) -> Iterator[tuple[str, OSError | None]]:
    """Names of the images of a folder and those below it, beginning with `name`; links to folders are not followed.

    What cannot be listed, or cannot be told to be a file, comes with its error.
    """
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield name, error
        return
    for entry in found:
        below = f"{name}/{entry.name}"
        try:
            is_folder = entry.is_dir(follow_symlinks=False)
            is_file = not is_folder and is_image(entry.name) and entry.is_file()
        except OSError as error:
            yield below, error
            continue
        if is_folder and not entry.name.startswith("."):
            yield from _images_below(folder / entry.name, below)
        elif is_file:
            yield below, None
