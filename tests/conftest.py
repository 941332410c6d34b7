"""Images for tests, and the service with its bundled models in a process of its own.

What takes seconds a test gets a mark, so that `make test-fast` can leave it out.
"""

import io
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TESTS = Path(__file__).parent
SLOW = (
    "benchmarks/fitting",
    "benchmarks/reliability/test_batcher.py",
    "benchmarks/reliability/test_trials.py",
    "docker/prometheus",
    "export",
    "gan_batch",
    "gan_client",
    "k8s",
    "service/api/static",
    "service/api/translation/test_bulk.py",
    "service/api/test_context.py",
    "service/api/translation/test_json_image.py",
    "service/api/test_models.py",
    "service/api/translation/test_route.py",
    "service/api/v2/test_clients.py",
    "service/api/v2/test_repository.py",
    "service/images",
    "service/live/test_reloader.py",
    "service/live/test_trial.py",
    "service/live/test_watcher.py",
    "service/runtime/test_cpu.py",
    "service/runtime/test_devices.py",
    "service/server/test_protocol_heads.py",
    "service/server/test_runner.py",
    "service/telemetry/test_tracing.py",
    "service/test_cli.py",
    "test_architecture.py",
    "test_bundled_models.py",
    "test_end_to_end.py",
    "test_privacy.py",
    "docs/test_commands.py",
    "tools/clients/test_clients.py",
    "tools/test_site.py",
    "training/evaluation",
    "training/tasks",
    "training/test_cli.py",
    "training/test_distributed.py",
    "training/test_flops.py",
    "training/test_loop.py",
    "training/test_resume.py",
)
"""Files and folders below tests/. A single slow test of another file has the mark itself."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Adds the mark; an entry that leads nowhere is an error, so that the list follows when files move."""
    if missing := [entry for entry in SLOW if not (TESTS / entry).exists()]:
        raise pytest.UsageError(f"tests/conftest.py: SLOW names what does not exist: {', '.join(missing)}")
    for item in items:
        if any(item.path.is_relative_to(TESTS / entry) for entry in SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def encoded() -> Callable[..., bytes]:
    """`encoded(image, format, **options)`: an image file."""

    def encode(image: Image.Image, format: str, **options: object) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, format, **options)
        return buffer.getvalue()

    return encode


@pytest.fixture
def noise() -> Callable[..., Image.Image]:
    """`noise(width, height)`: an RGB image of random pixels."""

    def draw(width: int, height: int) -> Image.Image:
        return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))

    return draw


@contextmanager
def running(*options: str, port: int = 0) -> Iterator[str]:
    """Runs the service; yields its address."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GAN_", "OTEL_"))}
    command = [sys.executable, "-m", "service", "--port", str(port), "--device", "cpu", *options]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        for line in process.stderr:
            if found := re.search(r"service running on (http://\S+)", line):
                break
        else:
            raise AssertionError("the service did not start")
        reader = threading.Thread(target=process.stderr.read)  # or its pipe would fill
        reader.start()
        try:
            yield found[1]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            reader.join()


@pytest.fixture(scope="session")
def live_service() -> Iterator[str]:
    """Address of the service with its bundled models."""
    with running() as found:
        yield found


@pytest.fixture
def start_service() -> Callable[..., object]:
    """`with start_service(*options, port=0) as address`: a service with options of its own."""
    return running
