"""A version of a model, and the folders that versions are loaded from."""

import logging
import mmap
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from service.card import NAME_PATTERN, Artefact, CardError, ModelCard, read_card, unreadable
from service.engine.batcher import Batcher
from service.runtime.cpu import PROVIDER as CPU
from service.runtime.devices import Devices, Loaded

log = logging.getLogger("service")

WEIGHTS_OUTSIDE = b"\x0a\x08location\x12"
"""The entry of a tensor that names the file of its weights, as protobuf writes it."""
SEARCHED_BYTES = 2**20
"""A model is searched in steps of so many bytes, between which other threads get Python's lock."""
NO_MODELS = frozenset({"lost+found", "__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"})
"""Folders that file systems and archives create beside models."""


@dataclass(frozen=True)
class Model:
    """One loaded version of a model."""

    card: ModelCard
    folder: Path
    provider: str
    """ONNX Runtime's execution provider that runs the model."""
    artefact: Artefact
    """The loaded file."""
    fallback_reason: str | None
    """Why the model runs on the CPU with device=auto, or on CUDA in fp32 though it has a half-precision file."""
    batcher: Batcher

    @property
    def id(self) -> str:
        """<name>/<version>, as in the query parameter `model`."""
        return f"{self.card.name}/{self.card.version}"

    @property
    def fell_back_to_cpu(self) -> bool:
        """Whether the model runs on the CPU because no GPU could run it."""
        return self.fallback_reason is not None and self.provider == CPU


@dataclass(frozen=True)
class Version:
    """A version whose session is open and has run, and which takes no requests yet."""

    card: ModelCard
    folder: Path
    loaded: Loaded
    """The session and its device."""

    @property
    def id(self) -> str:
        """<name>/<version>."""
        return f"{self.card.name}/{self.card.version}"


def load_version(folder: Path, devices: Devices) -> Version:
    """Loads and runs the version in `folder`. May be called in a thread.

    Raises CardError when it is broken, DeviceError when the device that the settings ask for does not run it.
    """
    card = read_card(folder)
    refuse_weights_outside(folder, card)
    return Version(card, folder, devices.load(folder, card))


def refuse_weights_outside(folder: Path, card: ModelCard) -> None:
    """Raises CardError for a model that reads weights from another file, which no hash covers.

    Sessions are opened without a path, so that ONNX Runtime finds no other file; this check says so more clearly.
    """
    for artefact in filter(None, (card.full_artefact, card.half_artefact)):
        model = folder / artefact.file
        size = model.stat().st_size
        if not size:  # which cannot be mapped; ONNX Runtime says what it lacks
            continue
        with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            reach = SEARCHED_BYTES + len(WEIGHTS_OUTSIDE)
            if any(content.find(WEIGHTS_OUTSIDE, at, at + reach) >= 0 for at in range(0, size, SEARCHED_BYTES)):
                raise CardError(
                    f"{model} keeps weights in another file, which its card's sha256 does not cover: export it again "
                    "with gan-export, which keeps them inside"
                )


def version_folders(root: Path) -> list[Path]:
    """Returns the folders of all versions. Logs once what is passed over and could be meant as one.

    Raises CardError for a folder that cannot be read: it may hold a model.
    """
    try:
        return [version for name in _subfolders(root) for version in _versions(name)] if root.is_dir() else []
    except OSError as error:
        raise unreadable(error, root) from error


def _versions(name: Path) -> list[Path]:
    found = _subfolders(name)
    for path in name.iterdir():
        if re.fullmatch(NAME_PATTERN, path.name) and path not in found:
            _pass_over(path, "a version is a folder")
    return found


def _subfolders(folder: Path) -> list[Path]:
    """Returns the subfolders whose name a card can have. Hidden ones are passed over without a word."""
    found = sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] != "." and p.name not in NO_MODELS)
    named = [p for p in found if re.fullmatch(NAME_PATTERN, p.name)]
    for path in found:
        if path not in named:
            _pass_over(path, "a name has lower-case letters, digits, - and _ alone")
    return named


@lru_cache(1000)  # one line for each path, however often the folder is looked at
def _pass_over(path: Path, reason: str) -> None:
    log.warning("%r is passed over: %s", str(path), reason)  # repr: a name may hold line breaks
