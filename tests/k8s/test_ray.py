"""The RayJob's Pods, which only its operator makes: against Kubernetes' schema, our image and our lock."""

import re
from collections.abc import Callable

import pytest

from gan_batch.cli import BatchCommand

from .conftest import K8S, VERSION, Manifest

ROOT = K8S.parent


@pytest.fixture
def job(build: Callable[..., list[Manifest]], of_kind: Callable[..., list[Manifest]]) -> Manifest:
    (found,) = of_kind(build("ray"), "RayJob")
    return found["spec"]


@pytest.fixture
def templates(build: Callable[..., list[Manifest]], pods: Callable[..., list[Manifest]]) -> list[Manifest]:
    found = pods(build("ray"))
    assert len(found) == 2
    return found


def test_the_pods_have_the_fields_and_types_of_pods(templates: list[Manifest]) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for template in templates:
        pod = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {"name": "any", **template["metadata"]}}
        kubernetes_validate.validate(pod, "1.33", strict=True)


def test_the_pods_keep_to_the_restricted_standard(templates: list[Manifest]) -> None:
    for template in templates:
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 10001
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = spec["containers"]
        assert container["image"] == f"gan-serving:{VERSION}-ray"
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}


def test_the_volumes_are_there(build: Callable[..., list[Manifest]], templates: list[Manifest]) -> None:
    there = {m["metadata"]["name"] for m in build("ray") if m["kind"] == "PersistentVolumeClaim"}
    for template in templates:
        named = [volume.get("persistentVolumeClaim") for volume in template["spec"]["volumes"]]
        assert {claim["claimName"] for claim in named if claim} == there


def test_the_command_is_one_that_gan_batch_takes(job: Manifest, templates: list[Manifest]) -> None:
    command, source, target, *options = job["entrypoint"].split()
    assert command == "gan-batch"
    paths = {mount["mountPath"] for mount in templates[0]["spec"]["containers"][0]["volumeMounts"]}
    assert {source, target} <= paths
    assert {option[2:].partition("=")[0] for option in options} <= BatchCommand.model_fields.keys()


def test_ray_is_the_one_that_is_locked_and_reports_nothing(job: Manifest, templates: list[Manifest]) -> None:
    lock = (ROOT / "requirements" / "ray.txt").read_text()
    assert re.findall(r"^ray==(\S+)", lock, re.MULTILINE) == [job["rayClusterSpec"]["rayVersion"]]
    for template in templates:
        assert {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"} in template["spec"]["containers"][0]["env"]
