"""The client's Job, run by this machine's shell: the shards of its Pods make one whole."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0


@pytest.fixture
def folder(tmp_path: Path, noise: Callable[..., Image.Image]) -> Path:
    """Photographs in place of the volume, and the commands of the image in a folder of their own."""
    (tmp_path / "photographs").mkdir()
    for n in range(8):
        noise(64, 64 + n).save(tmp_path / "photographs" / f"{n}.png")
    program = tmp_path / "bin" / "gan-client"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m gan_client "$@"\n')
    program.chmod(0o755)
    return tmp_path


def test_the_pods_translate_every_image_once(folder: Path, live_service: str) -> None:
    job = yaml.safe_load((ROOT / "k8s" / "overlays" / "client" / "job.yaml").read_text())
    (translate,) = job["spec"]["template"]["spec"]["containers"]
    shell, option, script = translate["command"]
    for mount in ("/photographs", "/translations"):
        assert f" {mount}" in script
        script = script.replace(f" {mount}", f" {folder}{mount}")
    given = {e["name"]: e["value"] for e in translate["env"] if "value" in e}
    said = []
    for index in range(job["spec"]["completions"]):
        environment = {
            **os.environ,
            **given,
            "GAN_CLIENT_URL": live_service,
            "JOB_COMPLETION_INDEX": str(index),
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }
        done = subprocess.run(
            [shell, option, script], env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert done.returncode == 0, done.stderr
        said.append(int(done.stderr.split()[0]))
    assert sum(said) == 8
    assert sum(map(bool, said)) > 1  # more than one Pod had work
    assert len(list((folder / "translations" / "photographs").glob("*.png"))) == 8
