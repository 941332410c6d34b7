"""What lies in the models folder, and whether it has changed since the last look."""

from pathlib import Path

from service.card import CARD_FILE, HALF_FILE, MODEL_FILE, unreadable
from service.model import version_folders

MOST_LINKS = 40
"""Links that Linux follows in one path."""

Signature = tuple[tuple[int, int, int] | None, ...]
"""What differs after any change of a version's files: time, inode and size of each; None for a missing one."""


def signatures(root: Path) -> dict[Path, Signature]:
    """Returns every version's folder below `root` with its signature. Opens no file.

    Raises CardError when `root` or a folder in it cannot be read.
    """
    return {folder: signature_of(folder) for folder in version_folders(root)}


def signature_of(folder: Path) -> Signature:
    """Returns the signature of a version's folder. Follows symbolic links, such as those of a Kubernetes volume.

    Raises CardError when a file is there and cannot be read.
    """
    return tuple(_stat(folder / name) for name in (CARD_FILE, MODEL_FILE, HALF_FILE))


def links_to(root: Path) -> list[Path]:
    """Returns the symbolic links on the way to `root`: when one of them changes, so does the models folder."""
    links: list[Path] = []
    path = root.absolute()
    while len(links) < MOST_LINKS:
        link = next((one for one in (path, *path.parents) if one.is_symlink()), None)
        if link is None:
            break
        links.append(link)
        path = link.parent / link.readlink() / path.relative_to(link)
    return links


def _stat(file: Path) -> tuple[int, int, int] | None:
    try:
        stat = file.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable(error, file) from error
    return stat.st_mtime_ns, stat.st_ino, stat.st_size
