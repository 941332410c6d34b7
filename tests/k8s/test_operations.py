"""docs/operating/operations.md, held against what it speaks of: resources, benchmark, dashboard, files."""

import json
import re
import statistics
from collections.abc import Callable

import pytest
import yaml

from .conftest import K8S, Manifest

ROOT = K8S.parent
PAGE = (ROOT / "docs" / "operating" / "operations.md").read_text()
UNITS = {"m": 1 / 1024, "g": 1, "Mi": 1 / 1024, "Gi": 1}
NATIVE = "size=native"


def gibibytes(quantity: str) -> float:
    number, unit = re.fullmatch(r"(\d+)([a-zA-Z]+)", quantity).groups()
    return int(number) * UNITS[unit]


@pytest.fixture(scope="module")
def peaks() -> dict[str, float]:
    """GiB at the peak of each load of the sizing table."""
    rows = re.findall(r"^\| ([^|]+) \| \d+ \| [\d ]*\| (\d+) \| \d+ \| [\d. ]*\|$", PAGE, re.MULTILINE)
    assert len(rows) == 14
    return {load: int(mebibytes) / 1024 for load, mebibytes in rows}


def test_resources_follow_from_the_measured_peaks(
    build: Callable[..., list[Manifest]], pods: Callable, peaks: dict[str, float]
) -> None:
    (pod,) = pods(build("cpu"))
    resources = pod["spec"]["containers"][0]["resources"]
    request, limit = gibibytes(resources["requests"]["memory"]), gibibytes(resources["limits"]["memory"])
    usual = max(peak for load, peak in peaks.items() if NATIVE not in load)
    assert usual < request < 2.5 * usual  # enough, and not a node's memory for nothing
    assert max(peaks.values()) < limit
    assert f"request {request:g} GiB" in PAGE
    assert f"limit at {limit:g} GiB" in PAGE
    (transparent,) = [peak for load, peak in peaks.items() if "transparent" in load]
    assert f"take {transparent:.2f} GiB" in PAGE


def test_compose_gives_the_service_what_native_sizes_need(peaks: dict[str, float]) -> None:
    services = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]
    (memory,) = re.findall(r"^\$\{GAN_MEMORY:-(\w+)\}$", services["gan"]["mem_limit"])
    (tmp,) = re.findall(r"size=(\w+)", services["gan"]["tmpfs"][0])
    assert max(peaks.values()) + gibibytes(tmp) < gibibytes(memory)  # what lies in a tmpfs counts


def test_the_cost_of_a_million_is_the_benchmarks() -> None:
    results = json.loads((ROOT / "benchmarks" / "serving" / "results" / "translation.json").read_text())
    runs = [run["server_cpu"] / run["rate"] for run in results["contenders"]["service"]]
    (seconds, hours) = map(float, re.findall(r"takes ([\d.]+) s of a core: (\d+) core hours", PAGE)[0])
    assert seconds == pytest.approx(statistics.median(runs), rel=0.1)
    assert hours == pytest.approx(seconds * 1e6 / 3600, abs=0.5)


def test_panels_and_rows_are_the_dashboards() -> None:
    dashboard = json.loads((ROOT / "k8s" / "components" / "monitoring" / "dashboard.json").read_text())
    titles = {panel["title"] for panel in dashboard["panels"]}
    rows = [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"]
    reading = PAGE.partition("## Reading the dashboard")[2].partition("\n## ")[0]
    assert re.findall(r"^- \*\*([^*]+)\.\*\*", reading, re.MULTILINE) == rows
    named = set(re.findall(r'"([A-Z][^"\n]+)"', PAGE)) - {"Last State"}  # which kubectl says
    assert len(named) > 5
    assert named <= titles


def test_files_that_are_named_exist() -> None:
    named = set(re.findall(r"`((?:k8s|docker|docs|benchmarks|tools|service)/[\w./-]+)`", PAGE))
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
