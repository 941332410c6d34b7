"""The kustomization in k8s/README.md builds, and does what its comments say."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from service.telemetry import tracing

from .conftest import K8S, VERSION, Manifest, kustomize
from .test_builds import check_fields_and_types


@pytest.fixture
def example(tmp_path: Path) -> list[Manifest]:
    (text,) = re.findall(r"```yaml\n(.*?)```", (K8S / "README.md").read_text(), re.DOTALL)
    place = os.path.relpath(K8S, tmp_path)
    (tmp_path / "kustomization.yaml").write_text(text.replace("../gan-serving/k8s", place))
    result = kustomize(tmp_path)
    assert result.returncode == 0, result.stderr
    return list(yaml.safe_load_all(result.stdout))


def test_the_example_builds_what_it_says(example: list[Manifest], of_kind: Callable[..., list[Manifest]]) -> None:
    for manifest in example:
        check_fields_and_types(manifest)
    (deployment,) = of_kind(example, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == f"registry.example.org/gan-serving:{VERSION}-gpu"
    assert {"name": "models", "mountPath": "/models", "readOnly": True} in container["volumeMounts"]
    assert "models" in [volume["name"] for volume in pod["volumes"]]
    (settings,) = [m["data"] for m in of_kind(example, "ConfigMap") if "GAN_DEVICE" in m["data"]]
    assert settings[tracing.ENDPOINT] == "http://collector.monitoring:4318"
    assert settings.items() >= {"GAN_QUEUE_SIZE": "128", "GAN_MODELS": "/models/first", "GAN_DEVICE": "cuda"}.items()
    (ingress,) = of_kind(example, "Ingress")
    assert ingress["spec"]["rules"][0]["host"] == ingress["spec"]["tls"][0]["hosts"][0] == "gan.example.com"
    (scaled,) = of_kind(example, "ScaledObject")
    assert (scaled["spec"]["minReplicaCount"], scaled["spec"]["maxReplicaCount"]) == (1, 4)
    (policy,) = of_kind(example, "NetworkPolicy")
    assert [rule["ports"][0]["port"] for rule in policy["spec"]["egress"]] == [4318, 53]


def test_the_tables_name_every_overlay_and_component() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|", (K8S / "README.md").read_text(), re.MULTILINE)
    there = [folder.name for kind in ("overlays", "components") for folder in (K8S / kind).iterdir()]
    assert sorted(rows) == sorted(there)
