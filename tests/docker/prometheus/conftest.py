"""The service with the bundled models, asked a little of everything, in a process of its own."""

import io
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from PIL import Image

ROOT = Path(__file__).parents[3]
PATIENCE_S = 60.0


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """`tool(name)`: the path of a program; the test is skipped where it is missing."""

    def find(name: str) -> str:
        return shutil.which(name) or pytest.skip(f"{name} is not installed (Debian package prometheus)")

    return find


def ask(client: httpx.Client) -> None:
    """A few requests of every kind and outcome that a client can cause alone."""
    body = io.BytesIO()
    Image.effect_noise((64, 64), 80).convert("RGB").save(body, "JPEG")
    for kind in ("png", "npy", "json"):
        client.get(f"/mnist/sample?count=3&format={kind}").raise_for_status()
    for kind in ("png", "jpeg", "webp"):
        headers = {"Content-Type": "image/jpeg"}
        path = f"/translate/horse2zebra?size=64&format={kind}"
        client.post(path, content=body.getvalue(), headers=headers).raise_for_status()
    assert client.get("/mnist/sample?count=0").status_code == 422
    assert client.get("/mnist/sample?count=1024", headers={"X-Request-Timeout": "0.000001"}).status_code == 504
    assert client.get("/nowhere").status_code == 404


@dataclass(frozen=True)
class Service:
    """Addresses of a running service."""

    public: str
    management: str


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """A service that is asked again and again while the tests of a module run, and no longer: others read the log."""
    command = [sys.executable, "-m", "service", "--port", "0", "--management-port", "0", "--device", "cpu"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GAN_", "OTEL_"))}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        addresses = {}
        for line in process.stderr:
            for port in ("management port", "service"):
                if f"{port} running on" in line:
                    addresses[port] = line.split()[-1]
            if len(addresses) == 2:
                break
        done = threading.Event()

        def drive() -> None:
            with httpx.Client(base_url=addresses["service"], trust_env=False, timeout=PATIENCE_S) as client:
                while not done.wait(0.2):
                    ask(client)

        with httpx.Client(base_url=addresses["service"], trust_env=False, timeout=PATIENCE_S) as client:
            ask(client)
        driver = threading.Thread(target=drive)
        driver.start()
        yield Service(addresses["service"], addresses["management port"])
        done.set()
        driver.join()
        process.terminate()
        process.stderr.read()
        assert process.wait(PATIENCE_S) == 0
