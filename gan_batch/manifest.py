"""What a run has done, kept beside its translations, so that the next run continues."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from gan_batch.storage import BatchError, Folder
from imaging.names import Encoded
from service.images.preprocess import Size

PLACE = ".gan-batch"
"""Folder below that of the translations."""
RECORD = f"{PLACE}/options.json"
PART_ENTRIES, PART_SECONDS = 1_000, 10.0
"""The manifest is written in parts of so many images or of so many seconds: object stores cannot append."""


@dataclass(frozen=True)
class Options:
    """What decides on the pixels of a translation."""

    model: str
    """Model, as name/version."""
    sha256: str
    """Hash of the model's fp32 file."""
    size: Size | None
    detail: Literal["on", "off"]
    format: Encoded | None


@dataclass(frozen=True)
class Entry:
    """An image that was translated, or that failed."""

    image: str
    """Path of the image, relative to the folder of images."""
    translation: str
    """Path of its translation, relative to the folder of translations."""
    problem: str | None = None
    """Name of the problem; None for an image that was translated."""
    detail: str | None = None
    """What is wrong with the image, and what to do."""


@dataclass
class Manifest:
    """Owns the list of images done in a folder of translations. One run writes it at a time."""

    folder: Folder
    _waiting: list[Entry] = field(default_factory=list)
    _written: float = field(default_factory=time.monotonic)

    def check(self, options: Options) -> None:
        """Notes how the translations are made. Raises BatchError when the folder has others."""
        wanted = asdict(options)
        try:
            found = json.loads(self.folder.read(RECORD))
        except FileNotFoundError:
            self.folder.write(RECORD, json.dumps(wanted).encode())
            return
        if found != wanted:
            raise BatchError(
                f"{self.folder.address} has translations made with {json.dumps(found)}, not with {json.dumps(wanted)}: "
                "choose another folder, or the same model, size, detail and format"
            )

    def done(self) -> set[str]:
        """Images that are translated."""
        return {entry.image for entry in self.entries() if entry.problem is None}

    def entries(self) -> Iterator[Entry]:
        """All entries of all runs."""
        for name in sorted(self.folder.names()):
            if name.startswith(f"{PLACE}/") and name.endswith(".jsonl"):
                for line in self.folder.read(name).splitlines():
                    yield Entry(**json.loads(line))

    def add(self, entry: Entry) -> None:
        """Adds an entry; it is written with others."""
        self._waiting.append(entry)
        if len(self._waiting) >= PART_ENTRIES or time.monotonic() - self._written > PART_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Writes the entries that wait."""
        if self._waiting:
            lines = "".join(json.dumps(_given(entry)) + "\n" for entry in self._waiting)
            self.folder.write(f"{PLACE}/{time.time_ns():020}.jsonl", lines.encode())
        self._waiting, self._written = [], time.monotonic()


def _given(entry: Entry) -> dict[str, Any]:
    return {name: value for name, value in asdict(entry).items() if value is not None}
