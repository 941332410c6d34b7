"""An S3-compatible server and a Ray cluster, each in processes of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tools.footprint import family

ray = pytest.importorskip("ray", reason="ray is not installed")

PATIENCE_S = 120.0
ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and its descendants at once, as a lost machine does."""
    for pid in family(process.pid):
        os.kill(pid, signal.SIGKILL)
    process.wait(PATIENCE_S)


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """The environment of those who use the S3-compatible server, which has the bucket `images`."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + PATIENCE_S
    try:
        while True:
            assert process.poll() is None
            assert time.monotonic() < until
            try:
                httpx.put(f"http://127.0.0.1:{port}/images").raise_for_status()
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        kill(process)


@contextmanager
def node(environment: dict[str, str], *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a node of a Ray cluster."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats", *options]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        if process.poll() is None:
            kill(process)


@pytest.fixture(scope="session")
def cluster(s3: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of those who use a cluster of one node with one core."""
    port = free_port()
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("GAN_", "OTEL_"))},
        **s3,
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path_factory.mktemp("home")),  # Ray keeps its token there
        "RAY_ADDRESS": f"127.0.0.1:{port}",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    head = ("--head", f"--port={port}", "--num-cpus=1", "--include-dashboard=false")
    with node({key: value for key, value in environment.items() if key != "RAY_ADDRESS"}, *head) as process:
        wait_for_nodes(process, environment, 1)
        yield environment


def wait_for_nodes(process: subprocess.Popen[bytes], environment: dict[str, str], number: int) -> None:
    """Waits until the cluster has so many nodes."""
    code = "import ray; ray.init(log_to_driver=False); print(sum(node['Alive'] for node in ray.nodes()))"
    until = time.monotonic() + PATIENCE_S
    while True:
        assert process.poll() is None
        assert time.monotonic() < until
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.stdout.strip() == str(number):
            return


@pytest.fixture
def add_node(cluster: dict[str, str]) -> Callable[..., object]:
    """`with add_node() as process`: a second node with two cores."""

    @contextmanager
    def add() -> Iterator[subprocess.Popen[bytes]]:
        others = {key: value for key, value in cluster.items() if key != "RAY_ADDRESS"}
        with node(others, f"--address={cluster['RAY_ADDRESS']}", "--num-cpus=2") as process:
            wait_for_nodes(process, cluster, 2)
            yield process

    return add


@pytest.fixture
def batch(cluster: dict[str, str]) -> Callable[..., subprocess.Popen[str]]:
    """`batch(*arguments)`: gan-batch on the cluster."""

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "gan_batch", *map(str, arguments)]
        return subprocess.Popen(command, env=cluster, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start
