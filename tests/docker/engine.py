"""A Docker engine as an operator drives it: commands, Compose, and this checkout's images built once a session.

What can be set, as environment variables:
PYTHON_IMAGE, PROMETHEUS_IMAGE, GRAFANA_IMAGE   in place of the defaults; GRAFANA_IMAGE= leaves Grafana out
DOCKER_BUILD_FLAGS                              more flags for `docker build`, e.g. --secret id=pip,src=pip.conf;
                                                Compose, which has none, is given --secret and --network of them
"""

import argparse
import json
import os
import shlex
import subprocess
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
CPU, GPU, TRAIN = (f"gan-serving:{VERSION}-{target}" for target in ("cpu", "gpu", "train"))
PROJECT = "gan-test"
PORTS = {"GAN_PUBLISHED_PORT": "18000", "PROMETHEUS_PUBLISHED_PORT": "18090", "GRAFANA_PUBLISHED_PORT": "18030"}
HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
"""How every container is started here, as Compose starts the service."""


def docker(
    *arguments: str, status: int | None = 0, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a docker command, which must end with `status`; None accepts any exit status."""
    environment = os.environ | PORTS | {"COMPOSE_PROJECT_NAME": PROJECT} | (variables or {})
    result = subprocess.run(["docker", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)
    if status is not None:
        assert result.returncode == status, f"docker {shlex.join(arguments)}\n{result.stdout}{result.stderr}"
    return result


def compose(*arguments: str, **variables: str) -> str:
    """Runs a compose command on the root's compose.yaml, with further variables for it."""
    return docker("compose", *arguments, variables=variables).stdout.strip()


def inspect(container: str, template: str) -> str:
    """One field of a container or an image."""
    return docker("inspect", "--format", template, container).stdout.strip()


def get(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Status and body of a response, whatever its status."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers or {}), timeout=60) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def metrics_of(container: str) -> dict[str, float]:
    """The management port's metrics, read inside the container: the port is not published."""
    code = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9000/metrics').read().decode())"
    text = docker("exec", container, "python", "-c", code).stdout
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def until(true: Callable[[], object], seconds: float, what: str) -> float:
    """Waits until `true` returns something true; returns how many seconds that took."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        try:
            if true():
                return time.monotonic() - start
        except OSError:
            pass
        time.sleep(0.1)
    pytest.fail(f"{what} within {seconds:g} s\n{docker('compose', 'logs', '--tail=20', status=None).stdout}")


def healthy(container: str) -> bool:
    """Whether the container's HEALTHCHECK succeeds."""
    return inspect(container, "{{.State.Health.Status}}") == "healthy"


def start(name: str, tag: str, *flags: str) -> None:
    """Starts a hardened container without a network, and waits until it is healthy."""
    docker("rm", "--force", name, status=None)
    docker("run", "--detach", "--name", name, "--network=none", *HARDENED, "--tmpfs=/tmp", *flags, tag)
    until(lambda: healthy(name), 90, f"{tag} healthy")


def build(target: str, tag: str) -> str:
    """Builds one image, prints its size; returns BuildKit's log."""
    began = time.monotonic()
    flags = ("--progress=plain", *_build_flags(), "-f", "docker/Dockerfile", "--target", target)
    log = docker("build", *flags, "-t", tag, ".").stderr
    _print_size(tag, began)
    return log


def build_with_compose(folder: Path) -> None:
    """Builds the cpu image as `docker compose up --build` does; `folder` may get a file of build flags."""
    docker("rmi", "--force", CPU, status=None)
    began = time.monotonic()
    docker("compose", *_compose_flags(folder), "build", "gan")
    _print_size(CPU, began)


def _print_size(tag: str, began: float) -> None:
    print(f"{tag}: {int(inspect(tag, '{{.Size}}')) / 1e6:,.0f} MB, built in {time.monotonic() - began:.1f} s")


def _build_flags() -> list[str]:
    flags = shlex.split(os.environ.get("DOCKER_BUILD_FLAGS", ""))
    image = os.environ.get("PYTHON_IMAGE")
    return flags + (["--build-arg", f"PYTHON_IMAGE={image}"] if image else [])


def _compose_flags(folder: Path) -> list[str]:
    """The build flags as what Compose reads: the root's file and one in `folder`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--network")
    parser.add_argument("--secret", action="append", default=[])
    flags, _ = parser.parse_known_args(_build_flags())
    secrets = [dict(part.split("=", 1) for part in secret.split(",")) for secret in flags.secret]
    if not (flags.network or secrets):
        return []
    added = {"secrets": [secret["id"] for secret in secrets]} | ({"network": flags.network} if flags.network else {})
    more = {
        "services": {"gan": {"build": added}},
        "secrets": {secret["id"]: {"file": str(Path(secret["src"]).resolve())} for secret in secrets},
    }
    file = folder / "flags.yaml"
    file.write_text(json.dumps(more))
    return ["-f", "compose.yaml", "-f", str(file)]
