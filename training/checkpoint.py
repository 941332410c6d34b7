"""Checkpoints: written atomically, verified by hash, and read without executing pickled code."""

import hashlib
import os
import re
from pathlib import Path
from typing import IO, Any

import torch

FORMAT = 1
KEEP = 2
_NAME = re.compile(r"checkpoint-(\d{9})\.pt")


class CheckpointError(Exception):
    """A checkpoint that cannot be used; the message names it, the reason and the cure."""


class ResumeError(Exception):
    """A checkpoint of another task or of incompatible settings."""


def write(folder: Path, state: dict[str, Any]) -> Path:
    """Writes `state` (tensors, numbers, strings, containers; it has "images") and deletes all but the newest two.

    The hash is written first, in `sha256sum -c` form beside the file, so that every checkpoint has one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"checkpoint-{state['images']:09d}.pt"
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        torch.save({"format": FORMAT, **state}, file)
        _to_disk(file)
    with _hash_file(path).open("w") as file:
        file.write(f"{sha256(partial)}  {path.name}\n")
        _to_disk(file)
    partial.replace(path)
    for old in list_checkpoints(folder)[:-KEEP]:
        old.unlink()
        _hash_file(old).unlink(missing_ok=True)
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run folder, oldest first."""
    return sorted(p for p in folder.glob("checkpoint-*.pt") if _NAME.fullmatch(p.name))


def newest(path: Path) -> Path:
    """The newest checkpoint of a run folder, or `path` itself if it is no folder. Raises CheckpointError for none."""
    if not path.is_dir():
        return path
    found = list_checkpoints(path)
    if not found:
        raise CheckpointError(f"{path} holds no checkpoint-*.pt: give the folder of a run, or fit one with 'gan-train'")
    return found[-1]


def read(path: Path) -> dict[str, Any]:
    """Reads a checkpoint, or the newest of a run folder. Raises CheckpointError with the reason."""
    path = newest(path)
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist")
    expected = _hash_file(path)
    if not expected.is_file():
        raise CheckpointError(f"{path} has no {expected.name} beside it: copy both files of the checkpoint")
    if expected.read_text().split()[:1] != [sha256(path)]:
        raise CheckpointError(
            f"{path} does not match its sha256: it is truncated or altered; delete it to resume from the one before"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for foreign files; all mean the same to the user
        raise CheckpointError(f"{path} is not a checkpoint of this project ({type(error).__name__})") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not a checkpoint of this project, or of another version (format {FORMAT} expected)"
        )
    return state


def _to_disk(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _hash_file(path: Path) -> Path:
    return path.with_suffix(".pt.sha256")


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
