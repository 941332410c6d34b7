"""A folder at an fsspec address: a local path, s3://bucket/folder, gs://bucket/folder and so on."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import fsspec
from fsspec.implementations.local import LocalFileSystem


class BatchError(Exception):
    """The run cannot begin or go on; the message says why and what to do."""


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
        with _os_errors(self.address):
            found = system.find(root)
        if found == [root]:
            raise BatchError(f"{self.address} is a file: expected is a folder")
        for path in found:
            yield path.removeprefix(f"{root}/")

    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises OSError, and BatchError when a file has the name of a folder."""
        system, root = self._opened
        path = f"{root}/{name}"
        with _os_errors(path):
            content: bytes = system.cat_file(path)
            return content

    def write(self, name: str, content: bytes) -> None:
        """Writes a file, whose name appears when it is whole: object stores do that, a local file is renamed.

        Raises OSError, and BatchError when a file has the name of a folder.
        """
        system, root = self._opened
        path = f"{root}/{name}"
        with _os_errors(path):
            if not isinstance(system, LocalFileSystem):
                system.pipe_file(path, content)
                return
            parent = path.rpartition("/")[0]
            system.makedirs(parent, exist_ok=True)
            part = f"{parent}/.{secrets.token_hex(8)}.part"
            system.pipe_file(part, content)
            system.mv(part, path)


@contextmanager
def _os_errors(path: str) -> Iterator[None]:
    """Raises errors that name the path: OSError, whatever the package of a store raises: each has errors of its own."""
    try:
        yield
    except (FileExistsError, NotADirectoryError) as error:
        raise BatchError(f"{path} would be below a file: choose a folder") from error
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = path
        raise
    except Exception as error:
        raise OSError(f"{path}: {error} ({type(error).__name__})") from error
