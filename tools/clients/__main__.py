"""Generates clients, compiles and runs them, and writes docs/calling/clients.md: python -m tools.clients"""

import os
import platform
import re
import shutil
import socket
import sys
from pathlib import Path

from PIL import Image

from tools.clients.checks import CALLS, redocly_findings, results
from tools.clients.generators import GENERATORS, BuildError, Generator, install_node_packages
from tools.clients.page import Row, page
from tools.footprint import service
from tools.render_docs import DOCS

FOLDER = DOCS.parent / "build" / "clients"


def check(generator: Generator, url: str, image: Path) -> Row:
    """Generates, compiles and runs one client."""
    folder = FOLDER / re.sub(r"\W+", "-", generator.name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        command = generator.build(DOCS / "openapi.json", folder)
    except BuildError as error:
        print(error, file=sys.stderr)
        return Row(generator, False, dict.fromkeys(CALLS, "not compiled"))
    return Row(generator, True, results(command, url, image, folder / "out"))


def main() -> None:
    """Writes the page. Exits with 1 if anything failed, after saying what."""
    missing = sorted({tool for generator in GENERATORS for tool in generator.missing})
    if missing:
        sys.exit(f"not on PATH: {', '.join(missing)}; see docs/calling/clients.md")
    FOLDER.mkdir(parents=True, exist_ok=True)
    image = FOLDER / "image.png"
    Image.effect_noise((140, 100), 80).convert("RGB").save(image)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with service(port):
        rows = [check(generator, f"http://127.0.0.1:{port}", image) for generator in GENERATORS]
    findings = redocly_findings(DOCS / "openapi.json", install_node_packages(FOLDER / "node"))
    machine = f"{platform.system()} on {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    (DOCS / "calling" / "clients.md").write_text(page(rows, findings, machine))
    failed = [f"{row.generator.name}: {call}: {wrong}" for row in rows for call, wrong in row.wrong.items() if wrong]
    if failed or findings:
        sys.exit("\n".join([*failed, *findings]))


if __name__ == "__main__":
    main()
