"""Writes a CycloneDX document for the wheel and for each image, from the locks that they are built from.

    make sbom

runs this with the tools in build/supply. Writes build/sbom/gan-serving-VERSION-IMAGE.cdx.json.
"""

import argparse
import re
import subprocess
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMAGES = {
    "cpu": ("tracing", "cpu"),
    "gpu": ("tracing", "cuda"),
    "train": ("tracing", "cpu", "train"),
    "client": ("client",),
    "ray": ("tracing", "cpu", "ray"),
}
"""Locks that docker/Dockerfile installs into each image, in this order. The wheel's dependencies are those of `cpu`."""


def merged(locks: list[str]) -> str:
    """Returns the entries of several locks in the order of their installation, each package once for its markers.

    Where two locks have different versions of a package, the later one's is installed over the earlier one's.
    """
    entries: dict[str, str] = {}
    for lock in locks:
        for entry in re.split(r"\n(?=\S)", lock.strip()):
            name, _, rest = entry.partition("==")
            entries[name + rest.partition(" \\")[0].partition(" ;")[2]] = entry
    return "\n".join(entries[name] for name in sorted(entries)) + "\n"


def write(image: str, tools: Path, folder: Path) -> Path:
    """Writes the document of an image with the program cyclonedx-py in `tools`. Returns its path."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    path = folder / f"{project['name']}-{project['version']}-{image}.cdx.json"
    locks = [(ROOT / "requirements" / f"{name}.txt").read_text() for name in IMAGES[image]]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.write(merged(locks))
        requirements.flush()
        program = [str(tools / "python"), "-W", "ignore", "-m", "cyclonedx_py", "requirements", "--validate"]
        options = ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible", "--spec-version", "1.6"]
        subprocess.run([*program, *options, "--output-file", str(path), requirements.name], check=True)
    return path


def main() -> None:
    """Reads the command line, writes the documents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools", type=Path, default=ROOT / "build" / "supply" / "bin", help="where cyclonedx-py is")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "sbom")
    chosen = parser.parse_args()
    for image in IMAGES:
        print(write(image, chosen.tools, chosen.out))


if __name__ == "__main__":
    main()
