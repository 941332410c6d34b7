"""What kustomize makes of k8s/, for every overlay and every combination that it allows."""

import os
import subprocess
import sysconfig
import tomllib
from collections.abc import Callable
from functools import cache
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

K8S = Path(__file__).resolve().parents[2] / "k8s"
KUBECTL = Path(sysconfig.get_path("scripts")) / "kubectl"  # of the dev extra
NAMESPACE = "somewhere"
VERSION = tomllib.loads((K8S.parent / "pyproject.toml").read_text())["project"]["version"]
Manifest = dict[str, Any]


def subsets(names: list[str]) -> list[tuple[str, ...]]:
    return list(chain.from_iterable(combinations(names, n) for n in range(len(names) + 1)))


SERVING = [
    (overlay, *extras, *scaler)
    for overlay, components in (
        ("cpu", ["monitoring", "ingress", "api-keys"]),
        ("gpu", ["monitoring", "ingress", "runtime-class"]),
    )
    for extras in subsets(components)
    for scaler in ((), ("autoscaling-keda",), ("autoscaling-hpa",))
]
COMBINATIONS = [*SERVING, ("train",), ("kserve",), ("client",), ("ray",)]
CHECKED = [
    combination for combination in SERVING if len(combination) == 1 or combination[1:3] == ("monitoring", "ingress")
]
"""Of those, each overlay alone and with whatever can be added: where manifests are read, not only built."""
FULL = [combination for combination in CHECKED if len(combination) > 1]


def kustomize(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([KUBECTL, "kustomize", str(folder)], capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="session")
def combine(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`combine(overlay, *components)`: what `kubectl kustomize` says to an operator's own kustomization of them."""

    @cache
    def run(overlay: str, *components: str) -> subprocess.CompletedProcess[str]:
        folder = tmp_path_factory.mktemp("kustomization")
        here = Path(os.path.relpath(K8S, folder))
        mine = {
            "namespace": NAMESPACE,
            "resources": [str(here / "overlays" / overlay)],
            "components": [str(here / "components" / name) for name in components],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(mine))
        return kustomize(folder)

    return run


@pytest.fixture(scope="session")
def build(combine: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., list[Manifest]]:
    """`build(overlay, *components)`: the manifests of a combination."""

    def run(overlay: str, *components: str) -> list[Manifest]:
        result = combine(overlay, *components)
        assert result.returncode == 0, result.stderr
        return list(yaml.safe_load_all(result.stdout))

    return run


@pytest.fixture(scope="session")
def of_kind() -> Callable[[list[Manifest], str], list[Manifest]]:
    """`of_kind(manifests, kind)`: those of one kind."""
    return lambda manifests, kind: [m for m in manifests if m["kind"] == kind]


@pytest.fixture(scope="session")
def pods() -> Callable[[list[Manifest]], list[Manifest]]:
    """`pods(manifests)`: the Pod templates of the Deployments, Jobs and RayJobs, each with metadata and spec."""

    def templates(manifest: Manifest) -> list[Manifest]:
        if manifest["kind"] == "RayJob":
            cluster = manifest["spec"]["rayClusterSpec"]
            return [group["template"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]
        return [manifest["spec"]["template"]] if manifest["kind"] in ("Deployment", "Job") else []

    return lambda manifests: [template for manifest in manifests for template in templates(manifest)]
