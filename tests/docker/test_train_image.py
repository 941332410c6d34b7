"""Builds the train image, 7 GB more, with a real engine, and fits in it.

.venv/bin/python -m pytest -m docker tests/docker/test_train_image.py
"""

from collections.abc import Callable, Iterator

import pytest

from .engine import HARDENED, PROJECT, docker, inspect, until

pytestmark = [pytest.mark.docker, pytest.mark.slow]

DIGITS = """
import pathlib, numpy
raw = pathlib.Path("/tmp/data/MNIST/raw")
raw.mkdir(parents=True)
for name, count in (("train", 600), ("t10k", 100)):
    labels = numpy.arange(count, dtype="u1") % 10
    images = numpy.repeat(labels * 25, 28 * 28)
    for kind, sizes, data in (("images-idx3", (count, 28, 28), images), ("labels-idx1", (count,), labels)):
        header = bytes([0, 0, 8, len(sizes)]) + b"".join(size.to_bytes(4, "big") for size in sizes)
        (raw / f"{name}-{kind}-ubyte").write_bytes(header + data.tobytes())
"""
"""Writes flat images in the files of MNIST, since the container has no network."""
FIT = "exec gan-train gan --device cpu --data /tmp/data --cache /tmp/cache --out /tmp/run"


@pytest.fixture
def fit(train_image: str) -> Callable[..., str]:
    """`fit(flags of docker, more=flags of gan-train)`: what it prints; torch.compile runs what it writes to /tmp."""

    def run(*flags: str, more: str) -> str:
        script = f"python -c '{DIGITS}'; {FIT} {more}"
        fixed = ("run", "--network=none", *HARDENED, "--tmpfs=/tmp:exec", *flags, "--entrypoint=sh")
        return docker(*fixed, train_image, "-euc", script).stdout

    return run


@pytest.fixture
def container() -> Iterator[str]:
    """Name of a container that is removed afterwards."""
    name = f"{PROJECT}-fit"
    docker("rm", "--force", name, status=None)
    yield name
    docker("rm", "--force", name, status=None)


def test_a_compiled_fit_runs_on_a_read_only_root(fit: Callable[..., str]) -> None:
    assert "images       256 / 256" in fit("--rm", more="--compile --images 256")


def test_a_fit_that_is_stopped_says_so(fit: Callable[..., str], container: str) -> None:
    fit("--detach", "--name", container, more="--tick-images 128")
    until(lambda: "images       128 /" in docker("logs", container).stdout, 300, "a first checkpoint")
    docker("stop", "--time=60", container)  # it saves, and draws its curves
    assert inspect(container, "{{.State.ExitCode}}") == "75"
