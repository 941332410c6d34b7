"""The manifests for KServe agree with its types, with each other and with the service's code."""

import json
import subprocess
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest

from service.api.v2 import metadata
from service.settings import Settings

from .conftest import K8S, VERSION, Manifest

KSERVE = K8S.parent / "build" / "kserve" / "bin" / "python"
TYPES = {"ServingRuntime": "V1alpha1ServingRuntime", "InferenceService": "V1beta1InferenceService"}

Build = Callable[..., list[Manifest]]


@pytest.fixture
def kinds(build: Build) -> dict[str, Manifest]:
    return {manifest["kind"]: manifest for manifest in build("kserve")}


def differences(manifests: list[Manifest]) -> list[str]:
    if not KSERVE.exists():
        pytest.skip("KServe's package is not installed: make kserve")
    typed = json.dumps([(TYPES[manifest["kind"]], manifest) for manifest in manifests])
    command = [KSERVE, Path(__file__).with_name("kserve_types.py")]
    result = subprocess.run(command, input=typed, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout.split("\n")[:-1] if result.stdout.strip() else []


def test_the_manifests_have_the_fields_and_types_of_kserves_package(kinds: dict[str, Manifest]) -> None:
    assert differences([kinds[kind] for kind in TYPES]) == []


def test_a_field_that_kserve_does_not_have_is_found(kinds: dict[str, Manifest]) -> None:
    runtime, service = (deepcopy(kinds[kind]) for kind in TYPES)
    runtime["spec"]["supportedModelFormats"][0]["autoselect"] = True
    service["spec"]["predictor"]["minReplicas"] = "2"
    assert differences([runtime, service]) == [
        "V1alpha1ServingRuntime.spec.supportedModelFormats[0]: V1alpha1SupportedModelFormat has no 'autoselect'",
        "V1beta1InferenceService.spec.predictor.minReplicas: '2' is no int",
    ]


def test_the_service_names_the_runtime_its_format_and_its_protocol(kinds: dict[str, Manifest]) -> None:
    runtime, predictor = kinds["ServingRuntime"], kinds["InferenceService"]["spec"]["predictor"]
    assert predictor["model"] == {
        "runtime": runtime["metadata"]["name"],
        "modelFormat": {"name": runtime["spec"]["supportedModelFormats"][0]["name"]},
        "protocolVersion": "v2",
    }
    assert "v2" in runtime["spec"]["protocolVersions"]
    assert predictor["serviceAccountName"] == kinds["ServiceAccount"]["metadata"]["name"]
    assert kinds["ServiceAccount"]["automountServiceAccountToken"] is False
    (picked,) = kinds["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items()
    assert picked == ("serving.kserve.io/inferenceservice", kinds["InferenceService"]["metadata"]["name"])


def test_ports_probes_threads_and_times_are_those_of_the_service(
    kinds: dict[str, Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, predictor = kinds["ServingRuntime"]["spec"], kinds["InferenceService"]["spec"]["predictor"]
    (container,) = runtime["containers"]
    for variable in container["env"]:
        assert variable["name"].removeprefix("GAN_").lower() in Settings.model_fields
        monkeypatch.setenv(variable["name"], variable["value"])
    settings = Settings()
    assert (settings.host, settings.management_port) == ("0.0.0.0", None)
    assert [port["containerPort"] for port in container["ports"]] == [settings.port]
    assert runtime["annotations"]["prometheus.kserve.io/port"] == str(settings.port)
    assert kinds["NetworkPolicy"]["spec"]["ingress"] == [{"ports": [{"port": settings.port}]}]
    probes = {kind: probe["httpGet"] for kind, probe in container.items() if kind.endswith("Probe")}
    assert {probe["port"] for probe in probes.values()} == {settings.port}
    assert {probe["path"] for probe in probes.values()} == metadata.PROBES
    assert probes["readinessProbe"]["path"].endswith("/ready")
    assert container["resources"]["requests"]["cpu"] == str(settings.threads)
    drain = container["lifecycle"]["preStop"]["sleep"]["seconds"] + settings.shutdown_seconds
    assert drain < predictor["terminationGracePeriodSeconds"]


def test_the_pods_are_those_of_the_cpu_overlay(kinds: dict[str, Manifest], build: Build) -> None:
    (deployment,) = (manifest for manifest in build("cpu") if manifest["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (own,), (theirs,) = kinds["ServingRuntime"]["spec"]["containers"], pod["containers"]
    assert own["image"] == f"gan-serving:{VERSION}-cpu"
    for name in ("image", "imagePullPolicy", "resources", "securityContext", "lifecycle", "volumeMounts"):
        assert own[name] == theirs[name]
    assert kinds["ServingRuntime"]["spec"]["volumes"] == pod["volumes"]
    predictor = kinds["InferenceService"]["spec"]["predictor"]
    for name in ("securityContext", "automountServiceAccountToken", "enableServiceLinks"):
        assert predictor[name] == pod[name]
