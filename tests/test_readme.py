"""The program in README.md runs as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]


def test_the_program_asks_for_digits_and_translates_an_image(live_service: str, tmp_path: Path) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len([line for line in program.splitlines() if line.strip()]) <= 10
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    environment = {**os.environ, "GAN_CLIENT_URL": live_service, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(16, 28, 28) mnist-conditional/2\n{} horse2zebra/10\n".format(
        Image.open(ROOT / "docs" / "images" / "nokota-horses.webp").size
    )
    assert Image.open(tmp_path / "sevens.png").size == (112, 112)
    assert Image.open(tmp_path / "zebras.webp").format == "WEBP"
