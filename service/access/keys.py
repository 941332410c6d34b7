"""API keys: a file of names and hashed keys, and a lookup that follows the file's changes.

The file has a line per key, `name sha256`, and may have comments after #. Keys are 256 random bits, which cannot be
guessed from their hash. So SHA-256 is enough; a slow hash such as argon2 protects passwords, which can be guessed, and
would take milliseconds of every request.
"""

import contextlib
import fcntl
import hashlib
import hmac
import logging
import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger("service")

KEY_PREFIX = "gan_"
"""Begins every key, so that scanners for leaked secrets can find them."""
KEY_BYTES = 32
OTHER_KEYS = "other"
"""Name under which metrics count the keys of all names after the first hundred; no client may have it."""
CHECK_SECONDS = 1.0
"""A changed file counts after at most so long."""
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class KeyFileError(Exception):
    """A file of keys that cannot be used; the message names it, the line and the cure."""


class Entry(NamedTuple):
    """One key of the file."""

    name: str
    sha256: str
    """Hash of the key, in hexadecimal."""

    @property
    def id(self) -> str:
        """First digits of the hash, which tell the keys of one name apart."""
        return self.sha256[:8]


def hash_of(key: str) -> str:
    """Returns the SHA-256 of a key, in hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()


def read(path: Path) -> list[Entry]:
    """Returns the keys of a file. A name may have several: a client changes over from the old to the new one.

    Raises KeyFileError if it cannot be read, or has a line that is no key.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not ASCII"
        raise KeyFileError(f"the keys in {path} cannot be read: {reason}") from error
    entries = []
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or not _NAME.fullmatch(words[0]) or not _SHA256.fullmatch(words[1]):
            raise KeyFileError(
                f"line {number} of {path} is no key: expected a name (letters, digits, . _ -, at most 64) and a "
                "SHA-256 in hexadecimal, as `gan-serve keys add NAME` writes them"
            )
        entries.append(Entry(*words))
    return entries


def add(path: Path, name: str) -> str:
    """Adds a new key to the file, which may be missing, and returns the key. The file keeps only its hash.

    Raises KeyFileError.
    """
    if not _NAME.fullmatch(name) or name == OTHER_KEYS:
        raise KeyFileError(
            f"{name[:70]!r} is no name: use 1 to 64 letters, digits, dots, underscores or hyphens, and not {OTHER_KEYS}"
        )
    key = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
    with _changing(path) as lines:
        lines.append(f"{name} {hash_of(key)}")
    return key


def remove(path: Path, name: str, key_id: str | None = None) -> int:
    """Removes the keys of a name, or the one with this id, and returns their number. Raises KeyFileError."""
    gone = {entry for entry in read(path) if entry.name == name and key_id in (None, entry.id)}
    if not gone:
        which = f"{name} with the id {key_id}" if key_id else name
        raise KeyFileError(f"{path} has no key of {which}: `gan-serve keys list` shows them")
    with _changing(path) as lines:
        lines[:] = [line for line in lines if Entry(*[*line.partition("#")[0].split(), "", ""][:2]) not in gone]
    return len(gone)


@contextlib.contextmanager
def _changing(path: Path) -> Iterator[list[str]]:
    """Gives the lines of a file to change, and replaces the file by them at the end, unless the block fails.

    Only one process changes the file at a time. A reader sees the old file or the new one, and nothing between.
    """
    path = Path(os.path.realpath(path))  # a link stays a link
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
            if path.exists():
                read(path)
            yield lines
            _replace(path, "".join(f"{line}\n" for line in lines))
        finally:
            os.close(folder)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not ASCII"
        raise KeyFileError(f"{path} cannot be changed: {reason}") from error


def _replace(path: Path, text: str) -> None:
    """Writes a file at once. It keeps its mode and its owner, who may be the service's user."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as new:
        try:
            new.write(text)
            new.flush()
            os.fsync(new.fileno())
            if path.exists():
                stat = path.stat()
                os.fchown(new.fileno(), stat.st_uid, stat.st_gid)
                os.fchmod(new.fileno(), stat.st_mode)
            os.replace(new.name, path)
        except OSError:
            os.unlink(new.name)
            raise


class KeyStore:
    """The keys that are valid now. Reads the file again when it has changed.

    A file that breaks while the service runs is reported in the log, and the keys stay as they were.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises KeyFileError for a file that cannot be used, or that has no key."""
        self._path, self._clock = path, clock
        self._signature = self._stat()
        entries = read(path)
        if not entries:
            raise KeyFileError(
                f"{path} has no keys, so that every request would be refused: add one with `gan-serve keys add NAME`"
            )
        self._names = _by_hash(entries)
        self._checked = clock()

    def name_of(self, key: str) -> str | None:
        """Returns the name of a key; None for one that is not valid.

        Its time reveals nothing about valid keys, because the hash is looked up, and no caller can choose a hash.
        """
        self._follow()
        digest = hash_of(key)
        found = self._names.get(digest)
        return found.name if found and hmac.compare_digest(found.sha256, digest) else None

    def _follow(self) -> None:
        now = self._clock()
        if now - self._checked < CHECK_SECONDS:
            return
        self._checked = now
        signature = self._stat()
        if signature == self._signature:
            return
        self._signature = signature
        try:
            entries = read(self._path)
        except KeyFileError as error:
            log.error("%s; the keys stay as they were", error)
            return
        self._names = _by_hash(entries)
        level = logging.INFO if self._names else logging.WARNING
        log.log(level, "%s has changed: %d keys are valid", self._path, len(self._names))

    def _stat(self) -> tuple[int, int, int] | None:
        """Returns what differs after a change, also after one of the symbolic links of a Kubernetes Secret."""
        try:
            stat = os.stat(self._path)
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino, stat.st_size


def _by_hash(entries: Iterable[Entry]) -> dict[str, Entry]:
    return {entry.sha256: entry for entry in entries}
