"""The training Job's own command, run by this machine's shell in place of two nodes."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 180.0


def job() -> dict:
    return yaml.safe_load((ROOT / "k8s" / "overlays" / "train" / "job.yaml").read_text())


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A horse2zebra of two flat pictures a part, in place of the volumes."""
    for part in ("trainA", "trainB", "testA", "testB"):
        pictures = tmp_path / "data" / "horse2zebra" / part
        pictures.mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (40, 40), (60 * i, 80, 120)).save(pictures / f"{i}.png")
    return tmp_path


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[[int], list[subprocess.Popen[str]]]]:
    """`start(images)`: the command of Pods 0 and 1, as the manifest has it but for place, device and size."""
    (fit,) = job()["spec"]["template"]["spec"]["containers"]
    shell, option, script = fit["command"]
    started: list[subprocess.Popen[str]] = []

    def run(images: int) -> list[subprocess.Popen[str]]:
        changed = script
        for old, new in {
            "exec torchrun": f"exec {sys.executable} -m torch.distributed.run",
            "--nproc-per-node=gpu": "--nproc-per-node=1",
            "--master-addr=gan-train-0.gan-train": "--master-addr=127.0.0.1",
            "--master-port=29500": f"--master-port={free_port()}",
            "--device=cuda": "--device=cpu --threads=1 --crop=32 --resize=36 --tick-images=4",
            "--data=/data": f"--data={folder}/data",
            "=/runs/": f"={folder}/runs/",
        }.items():
            assert old in changed, old
            changed = changed.replace(old, new)
        pods = [
            subprocess.Popen(
                [shell, option, changed],
                cwd=ROOT,
                env={
                    **os.environ,
                    **{e["name"]: e["value"] for e in fit["env"]},
                    "IMAGES": str(images),
                    "JOB_COMPLETION_INDEX": str(index),
                    "PYTHONPATH": str(ROOT),
                    "OMP_NUM_THREADS": "1",
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
            for index in (0, 1)
        ]
        started.extend(pods)
        return pods

    yield run
    for pod in started:
        if pod.poll() is None:
            os.killpg(pod.pid, signal.SIGKILL)
        pod.communicate()


def ends(pods: list[subprocess.Popen[str]]) -> tuple[list[int], str]:
    outputs = [pod.communicate(timeout=PATIENCE_S)[0] for pod in pods]
    return [pod.returncode for pod in pods], "\n".join(outputs)


def survivors(folder: Path, index: int) -> list[str]:
    """Command lines of the processes of Pod `index` that still run, from Linux."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ends while it is looked at
            if f"JOB_COMPLETION_INDEX={index}".encode() in (process / "environ").read_bytes().split(b"\0"):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found += [command] if str(folder) in command else []
    return found


def test_a_fit_over_two_nodes_goes_on_after_one_of_them_is_drained(folder: Path, start: Callable) -> None:
    runs = folder / "runs" / "horse2zebra"
    pods = start(24)
    until = time.monotonic() + PATIENCE_S
    while not list(runs.glob("checkpoint-*.pt")):
        assert time.monotonic() < until
        assert all(pod.poll() is None for pod in pods), ends(pods)
        time.sleep(0.02)
    pods[0].send_signal(signal.SIGTERM)  # to the container's first process, as the kubelet does
    pods[0].wait(PATIENCE_S)
    assert survivors(folder, index=0) == []  # with its first process a container ends, whatever else is at work in it
    statuses, output = ends(pods)
    assert 0 not in statuses, output  # neither index of the Job counts as done
    assert "2 process(es)" in output
    reached = max(int(path.stem.removeprefix("checkpoint-")) for path in runs.glob("checkpoint-*.pt"))
    assert reached < 24

    statuses, output = ends(start(24))
    assert statuses == [0, 0], output
    assert f"resuming {runs} at image {reached}" in output
    assert (runs / "checkpoint-000000024.pt").exists()
