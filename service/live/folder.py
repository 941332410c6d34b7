"""What lies in the models folder, and whether it has changed since the last look."""

from pathlib import Path

from service.card import CARD_FILE, HALF_FILE, MODEL_FILE
from service.model import version_folders

MOST_LINKS = 40
"""Links that Linux follows in one path."""

Signature = tuple[tuple[int, ...] | int | None, ...]
"""What differs after any change of a version's files, the card first, then the model: times, inode and size of each.

None for a file that is missing, the error's number for one that cannot be read.
"""


def signatures(root: Path) -> dict[Path, Signature]:
    """Returns every version's folder below `root` with its signature. Opens no file.

    Raises CardError when `root` or the folder of a name cannot be read.
    """
    return {folder: signature_of(folder) for folder in version_folders(root)}


def signature_of(folder: Path) -> Signature:
    """Returns the signature of a version's folder. Follows symbolic links, such as those of a Kubernetes volume."""
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


def is_complete(signature: Signature) -> bool:
    """Returns whether the card and the model are there, though perhaps not yet with all their bytes."""
    return None not in signature[:2]


def _stat(file: Path) -> tuple[int, ...] | int | None:
    try:
        stat = file.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return error.errno or 0
    # the time of the inode's change too: who sets the other one, as rsync does, cannot set this
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_size
