"""Several files in one response: as a ZIP file or as multipart/mixed, made entry by entry."""

import io
import secrets
import time
import unicodedata
import zipfile
from collections.abc import Iterable
from typing import Literal, Protocol
from urllib.parse import quote

Kind = Literal["zip", "multipart"]
ARCHIVES: dict[Kind, str] = {"zip": "application/zip", "multipart": "multipart/mixed"}
"""Media types of archives."""

LONGEST_STEM = 200
"""Longest name of an entry without its number and extension, in bytes of UTF-8: file systems take 255 in all."""
UNNAMED = "image"
"""Name of an entry whose file has none."""
_FORBIDDEN = frozenset('<>:"|?*')
"""Characters that file systems refuse, besides those that end a folder's name."""
_DEVICES = frozenset(
    [
        "CON",
        "PRN",
        "AUX",
        "NUL",
        *(f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789\u00b9\u00b2\u00b3"),
    ]
)
"""Names that Windows keeps for devices, whatever their extension."""


def entry_stems(names: Iterable[str]) -> list[str]:
    """Returns the names of entries without extensions: those of the files, safe on every system and each once.

    A repeated one is numbered in the order of the files, whatever their extensions: cat.jpg and cat.png become cat and
    cat-2.
    """
    taken: set[str] = set()
    stems = []
    for name in names:
        stem = _safe_stem(name)
        unique, number = stem, 1
        while unique.casefold() in taken:
            number += 1
            unique = f"{stem}-{number}"
        taken.add(unique.casefold())
        stems.append(unique)
    return stems


def _safe_stem(name: str) -> str:
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = "".join(
        letter
        for letter in unicodedata.normalize("NFC", last)
        if letter not in _FORBIDDEN and unicodedata.category(letter)[0] != "C"  # control characters and the like
    )
    stem, dot, _ = kept.rpartition(".")
    stem = (stem if dot else kept).strip(". ")
    stem = stem.encode()[:LONGEST_STEM].decode(errors="ignore").rstrip(". ")  # cut between two characters
    return f"_{stem}" if stem.partition(".")[0].upper() in _DEVICES else stem or UNNAMED


class Archive(Protocol):
    """Makes an archive piece by piece."""

    @property
    def media_type(self) -> str:
        """Value of the response's Content-Type."""

    def add(self, name: str, content: bytes, headers: dict[str, str]) -> bytes:
        """Returns the piece that adds a file; `headers` describe it where the archive has room for them."""

    def end(self) -> bytes:
        """Returns the last piece."""


class _Window(io.BytesIO):
    """A file of which only the bytes since the last `take` are kept. Offsets are those of the whole file."""

    _taken = 0

    def tell(self) -> int:
        return self._taken + super().tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._taken + super().seek(offset - self._taken, whence)

    def take(self) -> bytes:
        piece = self.getvalue()
        self._taken += len(piece)
        super().seek(0)
        self.truncate()
        return piece


class _Abandonable(zipfile.ZipFile):
    """A ZIP file in memory, which may be dropped unfinished when its reader has gone."""

    def __del__(self) -> None:
        """Unlike the base class, does not write the directory."""


class ZipArchive:
    """A ZIP file whose entries are stored, since images are compressed already."""

    media_type = ARCHIVES["zip"]

    def __init__(self) -> None:
        self._window = _Window()
        self._zip = _Abandonable(self._window, "w")

    def add(self, name: str, content: bytes, headers: dict[str, str]) -> bytes:
        """Returns the piece that adds a file."""
        entry = zipfile.ZipInfo(name, time.gmtime()[:6])
        entry.external_attr = 0o644 << 16  # permissions; without any, nobody may read the file
        self._zip.writestr(entry, content)
        return self._window.take()

    def end(self) -> bytes:
        """Returns the directory of the entries."""
        self._zip.close()
        return self._window.take()


class MultipartArchive:
    """The parts of multipart/mixed (RFC 2046), each with its name in Content-Disposition (RFC 6266)."""

    def __init__(self) -> None:
        self._boundary = secrets.token_hex(16)  # which no image contains

    @property
    def media_type(self) -> str:
        """Value of the response's Content-Type."""
        return f"{ARCHIVES['multipart']}; boundary={self._boundary}"

    def add(self, name: str, content: bytes, headers: dict[str, str]) -> bytes:
        """Returns the piece that adds a file."""
        plain = name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_")
        disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
        lines = {"Content-Disposition": disposition, "Content-Length": str(len(content)), **headers}
        head = "".join(f"{field}: {value}\r\n" for field, value in lines.items())
        return b"".join([f"--{self._boundary}\r\n{head}\r\n".encode(), content, b"\r\n"])

    def end(self) -> bytes:
        """Returns the last boundary."""
        return f"--{self._boundary}--\r\n".encode()


def new_archive(kind: Kind) -> Archive:
    """Returns an archive without entries."""
    return ZipArchive() if kind == "zip" else MultipartArchive()
