"""Builds the serving images with a real engine, and looks into them: `make docker-test`."""

import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.runtime.cuda import provider_options
from service.settings import Settings

from .engine import GPU, PROJECT, ROOT, build, docker, inspect, metrics_of, start

pytestmark = pytest.mark.docker

LABELS = {"title", "description", "version", "licenses", "revision", "base.name"}


@pytest.fixture
def tag(request: pytest.FixtureRequest) -> str:
    """The image of the parameter, built."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def container() -> Iterator[str]:
    """Name of a container that is removed afterwards."""
    name = f"{PROJECT}-container"
    yield name
    docker("rm", "--force", name, status=None)


both = pytest.mark.parametrize("tag", ["cpu_image", "gpu_image"], indirect=True)


def test_the_gpu_file_asks_for_the_gpu_image_and_one_gpu() -> None:
    config = docker("compose", "-f", "docker/compose.yaml", "-f", "docker/compose.gpu.yaml", "config", "--format=json")
    gan = json.loads(config.stdout)["services"]["gan"]
    (device,) = gan["deploy"]["resources"]["reservations"]["devices"]
    found = (gan["image"], gan["build"]["target"], gan["environment"]["GAN_DEVICE"], device["driver"])
    assert found == (GPU, "gpu", "cuda", "nvidia")


def test_a_change_of_the_source_installs_no_requirement_again(cpu_image: str) -> None:
    changed = ROOT / "service" / "__init__.py"
    before = changed.read_bytes()
    try:
        changed.write_bytes(before + f"# {time.time()}\n".encode())
        log = build("cpu", f"{PROJECT}:changed")
    finally:
        changed.write_bytes(before)
    docker("rmi", f"{PROJECT}:changed")
    steps = [line for line in log.splitlines() if "RUN" in line and "--require-hashes" in line]
    assert steps
    assert [step for step in steps if f"{step.split()[0]} CACHED" not in log] == []


@both
def test_there_is_no_compiler_and_the_user_is_a_number(tag: str) -> None:
    probe = "for tool in gcc g++ cc c++ clang tcc as ld make nvcc curl; do command -v $tool; done; id -u; id -g"
    found = docker("run", "--rm", "--network=none", "--entrypoint=sh", tag, "-c", probe).stdout.split()
    assert found == ["10001", "10001"]
    assert inspect(tag, "{{.Config.User}}") == "10001:10001"


@both
def test_there_are_the_oci_labels(tag: str) -> None:
    labels = json.loads(inspect(tag, "{{json .Config.Labels}}"))
    assert {f"org.opencontainers.image.{name}" for name in LABELS} <= labels.keys()


@pytest.mark.parametrize(
    ("tag", "package"), [("cpu_image", "onnxruntime"), ("gpu_image", "onnxruntime-gpu")], indirect=["tag"]
)
def test_there_is_one_build_of_onnx_runtime(tag: str, package: str) -> None:
    code = "import importlib.metadata as m; print(*{d.name for d in m.distributions() if 'onnxruntime' in d.name})"
    assert docker("run", "--rm", "--network=none", "--entrypoint=python", tag, "-c", code).stdout.split() == [package]


@both
def test_without_a_gpu_cuda_is_refused_with_a_reason(tag: str) -> None:
    refused = docker("run", "--rm", "--network=none", "--read-only", tag, "--device=cuda", status=2)
    assert "device=cuda, but" in refused.stderr


def test_the_cuda_provider_knows_every_option_of_the_service(gpu_image: str) -> None:
    names = list(provider_options(Settings(cuda_memory_bytes=2**30), 0))
    code = (
        "import sys, pathlib, onnxruntime as ort;"
        "library = pathlib.Path(ort.__file__).parent / 'capi' / 'libonnxruntime_providers_cuda.so';"
        "text = library.read_bytes(); print(*(n for n in sys.argv[1:] if n.encode() not in text))"
    )
    unknown = docker("run", "--rm", "--network=none", "--entrypoint=python", gpu_image, "-c", code, *names).stdout
    assert unknown.split() == []


def test_the_gpu_image_without_a_gpu_serves_on_the_cpu_and_says_so(gpu_image: str, container: str) -> None:
    start(container, gpu_image)
    logs = docker("logs", container)
    warning = next((line for line in (logs.stdout + logs.stderr).splitlines() if "device=auto" in line), "")
    assert "runs on the CPU" in warning
    assert metrics_of(container)["gan_device_fallback"] == 1
    docker("stop", container)
    assert inspect(container, "{{.State.ExitCode}}") == "0"


def test_models_mounted_over_those_of_the_image_are_served(cpu_image: str, container: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    shutil.copytree(ROOT / "models" / "mnist", tmp_path / "mnist")
    start(container, cpu_image, f"--volume={tmp_path}:/app/models:ro")
    log = docker("logs", container)
    served = re.findall(r"serving (\S+) on", log.stdout + log.stderr)
    assert served == [f"mnist/{version.name}" for version in sorted((ROOT / "models" / "mnist").iterdir())]
