"""Downloads MNIST and horse2zebra from their official addresses and verifies every file."""

import hashlib
import shutil
import zlib
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import IO, Literal
from zipfile import BadZipFile, ZipFile, ZipInfo

from pydantic import BaseModel, ConfigDict
from torchvision.datasets import MNIST

from training.data.errors import DataError
from training.data.mnist import load_mnist
from training.data.transfer import BLOCK_BYTES, fetch

#: File name, as in trainA/n02381460_1001.jpg -> sha256.
Manifest = Mapping[str, str]

#: Number of wrong files that a message names; it counts the others.
NAMED = 3


class DownloadConfig(BaseModel):
    """Download and verify the data sets; files that are there and correct are kept."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")

    data: Path = Path("data")
    """Folder that holds the data sets."""
    which: Literal["all", "mnist", "horse2zebra"] = "all"
    """Data set to download."""
    mnist_url: str = "https://ossci-datasets.s3.amazonaws.com/mnist/"
    """Address of the folder with the four archives of MNIST."""
    horse2zebra_url: str = "http://efrosgans.eecs.berkeley.edu/cyclegan/datasets/horse2zebra.zip"
    """Address of the zip archive with horse2zebra's trainA, trainB, testA and testB."""


@cache
def horse2zebra_manifest() -> Manifest:
    """The 2,661 files of the data set, as committed in `sha256sum` form."""
    text = resources.files("training.data").joinpath("horse2zebra.sha256").read_text(encoding="ascii")
    return {name: sha256 for sha256, name in (line.split("  ", 1) for line in text.splitlines())}


def download(config: DownloadConfig, manifest: Manifest | None = None) -> None:
    """Downloads the data sets that `config` names; those that are there need no network.

    Raises DataError, with the cure, if one cannot be downloaded and verified.
    """
    try:
        if config.which in ("all", "mnist"):
            _download_mnist(config)
        if config.which in ("all", "horse2zebra"):
            _download_horse2zebra(config, horse2zebra_manifest() if manifest is None else manifest)
    except OSError as error:
        raise DataError(
            f"cannot store the data under {config.data} ({error}): make room, or choose another folder with --data"
        ) from error


def verify_horse2zebra(root: Path, manifest: Manifest | None = None) -> list[str]:
    """The names, as in trainA/n02381460_1001.jpg, of the files that are missing under `root` or differ."""
    manifest = horse2zebra_manifest() if manifest is None else manifest
    return list(_wrong_files(manifest, lambda name: (root / name).open("rb")))


def _download_mnist(config: DownloadConfig) -> None:
    raw = config.data / "MNIST" / "raw"
    if _mnist_is_readable(config.data):
        print(f"MNIST: already there, in {raw}", flush=True)
        return
    for name, md5 in MNIST.resources:
        target = raw / name
        remedy = f"give another address with --mnist-url, or put the file at {target} yourself"
        fetch(f"{config.mnist_url.rstrip('/')}/{name}", target, partial(_md5_problem, md5=md5), remedy)
        # an older unpacked file may be the reason why the set could not be read
        target.with_suffix("").unlink(missing_ok=True)
    _read_mnist(config.data)
    print(f"MNIST: complete, in {raw}", flush=True)


def _mnist_is_readable(data: Path) -> bool:
    try:
        _read_mnist(data)
    except DataError:
        return False
    return True


def _read_mnist(data: Path) -> None:
    """Reads it as a fit would, which unpacks complete archives. Raises DataError."""
    for train in (True, False):
        load_mnist(data, train)


def _md5_problem(path: Path, md5: str) -> str:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    return "" if found == md5 else f"md5 {md5} expected, {found} found"


def _download_horse2zebra(config: DownloadConfig, manifest: Manifest) -> None:
    root, archive = config.data / "horse2zebra", config.data / "horse2zebra.zip"
    wrong = verify_horse2zebra(root, manifest)
    if not wrong:
        print(f"horse2zebra: already there, {len(manifest):,} verified files in {root}", flush=True)
        return
    if root.exists():
        print(f"horse2zebra in {root}: {_few(wrong, manifest)}; downloading the set again", flush=True)
    remedy = f"give another address with --horse2zebra-url, or put the archive at {archive} yourself"
    fetch(config.horse2zebra_url, archive, partial(_zip_problem, manifest=manifest), remedy)
    _unpack(archive, root, manifest)
    archive.unlink()
    print(f"horse2zebra: complete, {len(manifest):,} verified files in {root}", flush=True)


def _zip_problem(path: Path, manifest: Manifest) -> str:
    """Verifies every file of the manifest inside the archive without unpacking it; "" if all are right."""
    try:
        with ZipFile(path) as archive:
            members = _members(archive, manifest)
            wrong = _wrong_files(manifest, lambda name: archive.open(members[name]))
    except BadZipFile as error:
        return f"a zip archive expected, something else found ({error})"
    if not wrong:
        return ""
    first, found = next(iter(wrong.items()))
    return f"{_few(list(wrong), manifest)}; {first}: sha256 {manifest[first]} expected, {found or 'no file'} found"


def _members(archive: ZipFile, manifest: Manifest) -> dict[str, ZipInfo]:
    """The members that the manifest names, matched by their last two path parts; others are never unpacked."""
    members = {"/".join(PurePosixPath(info.filename).parts[-2:]): info for info in archive.infolist()}
    return {name: members[name] for name in manifest if name in members}


def _unpack(path: Path, root: Path, manifest: Manifest) -> None:
    """Unpacks beside `root` and moves the verified files in, so that an interruption leaves no partial set."""
    unpacked = root.with_name(f"{root.name}.unpacking")
    shutil.rmtree(unpacked, ignore_errors=True)
    with ZipFile(path) as archive:
        for name, member in _members(archive, manifest).items():
            target = unpacked / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file)
    wrong = verify_horse2zebra(unpacked, manifest)
    if wrong:
        raise DataError(f"{unpacked}: {_few(wrong, manifest)} just after they were written: check the disk, run again")
    _move_in(unpacked, root)
    shutil.rmtree(unpacked)


def _move_in(unpacked: Path, root: Path) -> None:
    """Moves whole folders that do not exist yet, and single files into others, where additional images are kept."""
    root.mkdir(parents=True, exist_ok=True)
    for folder in sorted(unpacked.iterdir()):
        if not (root / folder.name).exists():
            folder.rename(root / folder.name)
            continue
        for file in folder.iterdir():
            file.replace(root / folder.name / file.name)


def _wrong_files(manifest: Manifest, open_file: Callable[[str], IO[bytes]]) -> dict[str, str]:
    """The files whose hash is not the manifest's, with their hash; "" for one that cannot be read."""
    wrong = {}
    for name, sha256 in manifest.items():
        found = _sha256(name, open_file)
        if found != sha256:
            wrong[name] = found
    return wrong


def _sha256(name: str, open_file: Callable[[str], IO[bytes]]) -> str:
    digest = hashlib.sha256()
    try:
        with open_file(name) as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
            return digest.hexdigest()
    # no such file; or, in an archive: no such member, damaged, encrypted, an unknown compression
    except (OSError, KeyError, BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError):
        return ""


def _few(names: list[str], manifest: Manifest) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{len(names):,} of {len(manifest):,} files are missing or differ ({', '.join(names[:NAMED])}{more})"
