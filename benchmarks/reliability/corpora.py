"""Fetches the test images of libpng, libjpeg-turbo, libwebp and Pillow, whose files are made to try decoders.

    python -m benchmarks.reliability.corpora build/corpora

Pillow's come with its source from the package index, by pip. The others come with Debian's source packages, by apt-get
(a Debian system; nothing of the system changes). Needs the network, and about two minutes.
"""

import argparse
import platform
import re
import subprocess
import sys
import tarfile
from pathlib import Path

PILLOW = "pillow"
DEBIAN = ("libpng1.6", "libjpeg-turbo", "libwebp")
SYSTEM = Path("/etc/apt")
"""Where the system keeps the addresses of its packages."""
IMAGES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".avif", ".jp2", ".ico", ".tga"}
"""Suffixes of the files that are kept, and Pillow's whole folder besides."""


def fetch(folder: Path) -> None:
    """Fetches the corpora into `folder`, a folder each. Raises CalledProcessError when a source cannot be had."""
    (folder / "archives").mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", PILLOW, PILLOW]
    subprocess.run([*pip, "--dest", str(folder / "archives")], check=True)
    lists, sources = (folder / "archives" / "lists").resolve(), (folder / "archives" / "sources").resolve()
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    _write_sources(sources)
    options = ["Dir::Etc::sourcelist=/dev/null", f"Dir::Etc::sourceparts={sources}", f"Dir::State::Lists={lists}"]
    apt = ["apt-get", "--quiet=2", *(word for option in options for word in ("-o", option))]
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    for command in (["update"], ["source", "--download-only", *(f"{name}/{release}" for name in DEBIAN)]):
        subprocess.run([*apt, *command], cwd=folder / "archives", check=True)
    for archive in sorted((folder / "archives").glob("*.tar.*")):
        if archive.suffix != ".asc" and (".orig." in archive.name or archive.name.startswith(PILLOW)):
            _unpack(archive, folder / archive.name.partition("_")[0].partition("-1")[0])


def _write_sources(folder: Path) -> None:
    """Writes the system's list of packages as a list of source packages, in both of apt's forms."""
    folder.mkdir(exist_ok=True)
    for file in [*SYSTEM.glob("sources.list"), *SYSTEM.glob("sources.list.d/*.list"), *SYSTEM.glob("*/*.sources")]:
        text = re.sub(r"^Types:.*$", "Types: deb-src", file.read_text(), flags=re.MULTILINE)
        (folder / file.name).write_text(re.sub(r"^deb\b", "deb-src", text, flags=re.MULTILINE))


def _unpack(archive: Path, target: Path) -> None:
    """Unpacks the images of an archive, without folders: names are numbered."""
    target.mkdir(exist_ok=True)
    with tarfile.open(archive) as files:
        for number, member in enumerate(files):
            wanted = Path(member.name).suffix.lower() in IMAGES or "/Tests/images/" in member.name
            if member.isfile() and wanted and (content := files.extractfile(member)):
                (target / f"{number:05}-{Path(member.name).name}").write_bytes(content.read())


def main() -> None:
    """Reads the command line, fetches, counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    fetch(folder)
    for corpus in sorted(path for path in folder.iterdir() if path.name != "archives"):
        print(f"{corpus.name}: {len(list(corpus.iterdir()))} files")


if __name__ == "__main__":
    main()
