"""Every overlay and every combination builds, into manifests that a cluster would take."""

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .conftest import COMBINATIONS, K8S, NAMESPACE, Manifest, kustomize
from .schemas import CUSTOM

KUBERNETES = "1.33"
#: Keys whose values are quantities by name.
QUANTITIES = ("limits", "requests")


def check_fields_and_types(manifest: Manifest) -> None:
    """Against Kubernetes' own schemas, or ours for what operators add."""
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema comes with kubernetes-validate")
    if manifest["kind"] in CUSTOM:
        jsonschema.validate(manifest, CUSTOM[manifest["kind"]])
    else:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


@pytest.mark.parametrize("overlay", sorted(folder.name for folder in (K8S / "overlays").iterdir()))
def test_an_overlay_builds_by_itself(overlay: str) -> None:
    result = kustomize(K8S / "overlays" / overlay)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""  # no warning of something deprecated


def test_all_components_are_in_the_combinations() -> None:
    used = {part for combination in COMBINATIONS for part in combination}
    there = {folder.name for kind in ("overlays", "components") for folder in (K8S / kind).iterdir()}
    assert used == there


@pytest.mark.parametrize("combination", COMBINATIONS, ids="+".join)
def test_manifests_have_the_fields_and_types_of_their_kind(
    build: Callable[..., list[Manifest]], combination: tuple[str, ...]
) -> None:
    for manifest in build(*combination):
        check_fields_and_types(manifest)


@pytest.mark.parametrize("first", ["autoscaling-keda", "autoscaling-hpa"])
@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_two_autoscalers_do_not_build(
    combine: Callable[..., subprocess.CompletedProcess[str]], overlay: str, first: str
) -> None:
    (second,) = {"autoscaling-keda", "autoscaling-hpa"} - {first}
    result = combine(overlay, first, second)
    assert result.returncode != 0
    assert "`spec.replicas` is missing" in result.stderr
    assert combine(overlay, first).returncode == 0


@pytest.mark.parametrize("combination", COMBINATIONS, ids="+".join)
def test_nothing_escapes_the_operators_namespace(
    build: Callable[..., list[Manifest]], combination: tuple[str, ...]
) -> None:
    assert {m["metadata"].get("namespace") for m in build(*combination)} == {NAMESPACE}


def quantities(node: Any) -> Iterator[Any]:
    """All values that Kubernetes parses as quantities."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in QUANTITIES and isinstance(value, dict):
                yield from value.values()
            elif key in ("sizeLimit", "averageValue"):
                yield value
            else:
                yield from quantities(value)
    elif isinstance(node, list):
        for value in node:
            yield from quantities(value)


@pytest.mark.parametrize("combination", COMBINATIONS, ids="+".join)
def test_quantities_are_quantities(build: Callable[..., list[Manifest]], combination: tuple[str, ...]) -> None:
    found = list(quantities(build(*combination)))
    assert len(found) >= 6
    assert [q for q in found if as_number(q) is None] == []


@pytest.mark.parametrize("combination", COMBINATIONS, ids="+".join)
def test_a_request_is_within_its_limit(
    build: Callable[..., list[Manifest]], pods: Callable[..., list[Manifest]], combination: tuple[str, ...]
) -> None:
    for pod in pods(build(*combination)):
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            requests, limits = container["resources"]["requests"], container["resources"]["limits"]
            assert {"cpu", "memory"} <= requests.keys()
            assert "memory" in limits
            assert [k for k in requests.keys() & limits.keys() if as_number(requests[k]) > as_number(limits[k])] == []


UNITS = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}


def as_number(quantity: Any) -> float | None:
    """A quantity's value; None when it is none."""
    text = str(quantity)
    digits = text.rstrip("KMGTkmi")
    unit = text[len(digits) :]
    if unit not in UNITS or not digits.replace(".", "", 1).isdigit():
        return None
    return float(digits) * UNITS[unit]


@pytest.mark.parametrize(
    ("quantity", "value"), [("500m", 0.5), ("2Gi", 2.0**31), ("8", 8.0), (1, 1.0), ("2GiB", None), ("2 Gi", None)]
)
def test_quantities_are_told_from_what_is_none(quantity: object, value: float | None) -> None:
    assert as_number(quantity) == value
