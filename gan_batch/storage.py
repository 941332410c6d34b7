"""A folder at an fsspec address: a local path, s3://bucket/folder, gs://bucket/folder and so on."""

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import fsspec
from fsspec.implementations.local import LocalFileSystem

from gan_batch.errors import BatchError


@dataclass(frozen=True)
class Folder:
    """A folder, which every process opens by its address."""

    address: str

    @cached_property
    def _opened(self) -> tuple[fsspec.AbstractFileSystem, str]:
        try:
            system, root = fsspec.core.url_to_fs(self.address)
        except (ImportError, ValueError) as error:  # a package for the protocol is missing, or it is unknown
            raise BatchError(f"{self.address} cannot be opened: {error}") from error
        return system, root.rstrip("/")

    def overlaps(self, other: "Folder") -> bool:
        """Whether the folders are the same, or one is inside the other."""
        (system, root), (others, other_root) = self._opened, other._opened
        if type(system) is not type(others):
            return False
        if isinstance(system, LocalFileSystem):
            root, other_root = os.path.realpath(root), os.path.realpath(other_root)
        return f"{root}/".startswith(f"{other_root}/") or f"{other_root}/".startswith(f"{root}/")

    def names(self) -> Iterator[str]:
        """Paths of all files, relative to the folder, in no order. Raises OSError when it cannot be listed."""
        system, root = self._opened
        for path in system.find(root):
            yield path.removeprefix(f"{root}/")

    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises OSError."""
        system, root = self._opened
        content: bytes = system.cat_file(f"{root}/{name}")
        return content

    def write(self, name: str, content: bytes) -> None:
        """Writes a file, whose name appears when it is whole: object stores do that, a local file is renamed.

        Raises OSError.
        """
        system, root = self._opened
        path = f"{root}/{name}"
        if not isinstance(system, LocalFileSystem):
            system.pipe_file(path, content)
            return
        parent = path.rpartition("/")[0]
        system.makedirs(parent, exist_ok=True)
        part = f"{parent}/.{secrets.token_hex(8)}.part"
        system.pipe_file(part, content)
        system.mv(part, path)
