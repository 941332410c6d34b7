"""Which files of a pair's folders are fitted on, and which are tested with."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from imaging.names import SUFFIXES
from training.data.errors import DataError

CURES = {".heic": "convert them to JPEG", ".heif": "convert them to JPEG"}
#: Training images of each pair that are identical to test images; fits and floors leave them out.
CROSSES_INTO_TEST = {"horse2zebra": frozenset({"n02381460_3811.jpg"})}
HELD_OUT_EVERY = 10
"""Without a test folder, every tenth training image is held out, and at least one."""


@dataclass(frozen=True)
class ImageFiles:
    """The image files of a folder, in the order of their names."""

    folder: Path
    files: list[Path]
    left_out: Counter[str] = field(default_factory=Counter)
    """Number of entries that are passed over, by the reason."""

    def __str__(self) -> str:
        """For example: '120 images in trainA (left out: 1 .txt file)'."""
        left = ", ".join(f"{count} {reason}" for reason, count in sorted(self.left_out.items()))
        plural = "" if len(self.files) == 1 else "s"
        return f"{len(self.files):,} image{plural} in {self.folder.name}{f' (left out: {left})' if left else ''}"


@dataclass(frozen=True)
class Side:
    """One domain of a pair."""

    train: ImageFiles
    test: ImageFiles
    """The files of the test folder, or the training images that are held out."""
    held_out: bool
    """Whether the pair lacks the test folder, so that `test` is no part of `train` but comes from its folder."""

    def __str__(self) -> str:
        """For example: '90 images in trainA, 10 more of them held out as test images, since testA has none'."""
        if not self.held_out:
            return f"{self.train}, {self.test}"
        missing = self.train.folder.name.replace("train", "test")
        return f"{self.train}, {len(self.test.files):,} more held out for tests, since there are none in {missing}"


def list_side(root: Path, side: str) -> Side:
    """The training and test images of domain `side`, A or B, of the pair in `root`.

    Training images that are known to be among the pair's test images are left out. Raises DataError without images,
    or with a single one when there is no test folder.
    """
    train, test = list_images(root / f"train{side}"), list_images(root / f"test{side}")
    if not train.files:
        raise _no_images(root, train)
    crossing = CROSSES_INTO_TEST.get(root.name, frozenset())
    kept = [f for f in train.files if f.name not in crossing]
    if test.files:
        left = Counter(train.left_out)
        left += Counter({"test image": len(train.files) - len(kept)})
        return Side(ImageFiles(train.folder, kept, left), test, held_out=False)
    if len(kept) < 2:
        raise DataError(
            f"{train.folder} holds one image and {test.folder} none: a fit needs one, and a test another; add images"
        )
    held = kept[HELD_OUT_EVERY // 2 :: HELD_OUT_EVERY] or kept[-1:]
    fitted = [f for f in kept if f not in set(held)]
    return Side(ImageFiles(train.folder, fitted, train.left_out), ImageFiles(train.folder, held), held_out=True)


def list_images(folder: Path) -> ImageFiles:
    """The images of a folder by their suffix. Hidden files, folders and other files are counted as left out.

    A folder that does not exist has no images.
    """
    files, left = [], Counter[str]()
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        suffix = path.suffix.lower()
        if path.name.startswith("."):
            left["hidden"] += 1
        elif path.is_dir():
            left["folder"] += 1
        elif suffix not in SUFFIXES:
            cure = f": {CURES[suffix]}" if suffix in CURES else ""
            left[f"{suffix or 'without a suffix'}{cure}"] += 1
        else:
            files.append(path)
    return ImageFiles(folder, files, left)


def _no_images(root: Path, train: ImageFiles) -> DataError:
    pairs = sorted(p.name for p in root.parent.iterdir() if p.is_dir()) if root.parent.is_dir() else []
    if root.name == "horse2zebra":
        cure = f"'gan-train download --which horse2zebra --data {root.parent}' downloads them"
    elif not root.is_dir() and pairs:
        cure = f"{root.parent} holds {', '.join(pairs[:8])}: name one with --pair, or another folder with --data"
    else:
        cure = f"put images of the first kind into {root}/trainA and of the second into {root}/trainB"
    return DataError(f"there are {train}: {cure} (accepted: {' '.join(sorted(SUFFIXES))})".replace("are 0", "are no"))
