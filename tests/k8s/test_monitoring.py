"""What watches and scales the service asks for metrics that it has."""

import json
import re
from collections.abc import Callable

import pytest
import yaml

from service.telemetry.metrics import Metrics

from .conftest import K8S, Manifest

ROOT = K8S.parent
COMPONENTS = K8S / "components"
RUNBOOKS = ROOT / "docs" / "operating" / "operations.md"
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


@pytest.fixture(scope="module")
def series() -> set[str]:
    """Names of the series that the service can have."""
    metrics = Metrics().registry.collect()
    return {metric.name + suffix for metric in metrics for suffix in SUFFIXES.get(metric.type, ("",))}


@pytest.fixture(scope="module")
def rules() -> list[Manifest]:
    return [
        rule
        for group in yaml.safe_load((COMPONENTS / "monitoring" / "prometheusrule.yaml").read_text())["spec"]["groups"]
        for rule in group["rules"]
    ]


def names_in(query: str) -> set[str]:
    """The metrics that a query names; those of recording rules, which have a colon, are not among them."""
    return set(re.findall(r"(?<![:\w])(?:gan|process)_\w+(?![:\w])", query))


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ('sum(rate(gan_a_bucket{route="/x"}[5m])) by (le)', {"gan_a_bucket"}),
        ("route:gan_requests:rate5m > 1", set()),
        ("changes(process_b_seconds[5m]) and gan_c", {"process_b_seconds", "gan_c"}),
    ],
)
def test_names_are_found_in_queries(query: str, names: set[str]) -> None:
    assert names_in(query) == names


def test_grafana_finds_the_dashboard(build: Callable[..., list[Manifest]]) -> None:
    found = [m for m in build("cpu", "monitoring") if "grafana_dashboard" in m["metadata"].get("labels", {})]
    (dashboard,) = found
    assert [json.loads(text)["title"] for text in dashboard["data"].values()] == ["GAN serving"]
    assert sum(len(text) for text in dashboard["data"].values()) < 2**20  # what a ConfigMap holds


def test_rules_read_metrics_of_the_service(rules: list[Manifest], series: set[str]) -> None:
    named = {name for rule in rules for name in names_in(rule["expr"])}
    assert len(named) >= 5
    assert named <= series


def test_rules_read_no_recording_that_is_not_made(rules: list[Manifest]) -> None:
    made = {rule["record"] for rule in rules if "record" in rule}
    read = {name for rule in rules for name in re.findall(r"\w+:\w+:\w+", rule["expr"])}
    assert read <= made


def test_autoscalers_read_a_metric_of_the_service(build: Callable[..., list[Manifest]], series: set[str]) -> None:
    (scaled,) = [m for m in build("cpu", "autoscaling-keda") if m["kind"] == "ScaledObject"]
    (trigger,) = scaled["spec"]["triggers"]
    (scaler,) = [m for m in build("cpu", "autoscaling-hpa") if m["kind"] == "HorizontalPodAutoscaler"]
    (metric,) = scaler["spec"]["metrics"]
    adapter = yaml.safe_load((COMPONENTS / "autoscaling-hpa" / "prometheus-adapter.yaml").read_text())
    (rule,) = yaml.safe_load(adapter["data"]["config.yaml"])["rules"]
    asked = metric["pods"]["metric"]["name"]
    assert rule["name"] == {"matches": asked, "as": asked}
    assert names_in(trigger["metadata"]["query"]) == names_in(rule["seriesQuery"]) == {asked} <= series
    # the two scale alike
    assert metric["pods"]["target"]["averageValue"] == trigger["metadata"]["threshold"]
    assert scaler["spec"]["maxReplicas"] == scaled["spec"]["maxReplicaCount"]
    assert scaler["spec"]["behavior"] == scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]


def test_every_alert_has_its_runbook(rules: list[Manifest]) -> None:
    alerts = {rule["alert"]: rule for rule in rules if "alert" in rule}
    sections = re.findall(r"^### (Gan\w+)$", RUNBOOKS.read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(alerts)
    for alert, rule in alerts.items():
        assert rule["annotations"]["runbook_url"].endswith(f"docs/operating/operations.md#{alert.lower()}")


def test_the_rules_and_the_autoscaler_look_for_the_job_that_the_monitor_makes(
    build: Callable[..., list[Manifest]], rules: list[Manifest]
) -> None:
    manifests = build("cpu", "monitoring", "autoscaling-keda")
    (monitor,) = [m for m in manifests if m["kind"] == "ServiceMonitor"]
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    (watched,) = [m for m in manifests if m["kind"] == "Service" and wanted <= m["metadata"]["labels"].items()]
    (scaled,) = [m for m in manifests if m["kind"] == "ScaledObject"]
    queries = [rule["expr"] for rule in rules] + [t["metadata"]["query"] for t in scaled["spec"]["triggers"]]
    jobs = {job for query in queries for job in re.findall(r'job="([^"]+)"', query)}
    assert jobs == {watched["metadata"]["labels"][monitor["spec"]["jobLabel"]]}
