"""Fetches the test images of libpng, libjpeg-turbo, libwebp and Pillow, whose files are made to try decoders.

    python -m benchmarks.reliability.corpora build/corpora

Pillow's come with its source from the package index, by pip. The others come with Debian's source packages, by apt-get
(a Debian system; nothing of the system changes). Needs the network, and about two minutes.
"""

import argparse
import platform
import subprocess
import sys
import tarfile
from pathlib import Path

PILLOW = "pillow"
DEBIAN = ("libpng1.6", "libjpeg-turbo", "libwebp")
SOURCES = "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian {} main\n"
IMAGES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".avif", ".jp2", ".ico", ".tga"}
"""Suffixes of the files that are kept, and Pillow's whole folder besides."""


def fetch(folder: Path) -> None:
    """Fetches the corpora into `folder`, a folder each. Raises CalledProcessError when a source cannot be had."""
    (folder / "archives").mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", PILLOW, PILLOW]
    subprocess.run([*pip, "--dest", str(folder / "archives")], check=True)
    lists, sources = (folder / "archives" / "lists").resolve(), (folder / "archives" / "sources.list").resolve()
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    sources.write_text(SOURCES.format(platform.freedesktop_os_release()["VERSION_CODENAME"]))
    options = [f"Dir::Etc::sourcelist={sources}", "Dir::Etc::sourceparts=/dev/null", f"Dir::State::Lists={lists}"]
    apt = ["apt-get", "--quiet=2", *(word for option in options for word in ("-o", option))]
    for command in (["update"], ["source", "--download-only", *DEBIAN]):
        subprocess.run([*apt, *command], cwd=folder / "archives", check=True)
    for archive in sorted((folder / "archives").glob("*.tar.*")):
        if archive.suffix != ".asc" and (".orig." in archive.name or archive.name.startswith(PILLOW)):
            _unpack(archive, folder / archive.name.partition("_")[0].partition("-1")[0])


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
