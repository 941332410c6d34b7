"""A real Prometheus scrapes a real service; every query of the dashboard and every rule is put to it."""

import json
import math
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

ROOT = Path(__file__).parents[3]
RULES = ROOT / "k8s" / "components" / "monitoring" / "rules.yaml"
DASHBOARD = json.loads((ROOT / "k8s" / "components" / "monitoring" / "dashboard.json").read_text())
PATIENCE_S = 60.0
EMPTY_WITHOUT_A_GPU = {"GPU memory", "GPU utilisation"}

PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
VARIABLES = [v["query"]["query"] for v in DASHBOARD["templating"]["list"] if v["type"] == "query"]
EXPRESSIONS = [rule["expr"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


class Prometheus:
    """A running server."""

    def __init__(self, address: str) -> None:
        self._client = httpx.Client(base_url=address, trust_env=False, timeout=PATIENCE_S)

    def get(self, path: str, **parameters: str) -> Any:
        answer = self._client.get(f"/api/v1/{path}", params=parameters)
        assert answer.json()["status"] == "success", answer.text
        return answer.json()["data"]

    def values(self, query: str) -> list[float]:
        return [float(sample["value"][1]) for sample in self.get("query", query=query)["result"]]

    def ready(self) -> bool:
        try:
            return bool(self.values("rate(gan_requests_total[30s]) > 0"))
        except (httpx.TransportError, ValueError):  # it does not listen yet, or says "Service Unavailable"
            return False


@pytest.fixture(scope="module")
def prometheus(
    tool: Callable[[str], str], service: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Scrapes the service once a second, with the repository's rules."""
    folder = tmp_path_factory.mktemp("prometheus")
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {
                "job_name": "gan-serving",
                "static_configs": [{"targets": [service.management.removeprefix("http://")]}],
            }
        ],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        tool("prometheus"),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            server = Prometheus(f"http://{address}")
            deadline = time.monotonic() + PATIENCE_S
            while not server.ready():
                assert process.poll() is None, process.stderr and process.stderr.read()
                assert time.monotonic() < deadline
                time.sleep(0.2)
            time.sleep(4)  # a rate of a rate needs a few samples more
            yield server
        finally:  # or leaving the block would wait for ever
            process.terminate()


def filled_in(expression: str) -> str:
    """What Grafana would send: every instance and model."""
    for name, value in (("$__rate_interval", "30s"), ("$instance", ".*"), ("$model", ".*")):
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


@pytest.mark.parametrize(("title", "expression"), QUERIES, ids=[f"{title}: {expr}" for title, expr in QUERIES])
def test_every_panel_is_answered_with_data(prometheus: Prometheus, title: str, expression: str) -> None:
    values = prometheus.values(filled_in(expression))
    if title in EMPTY_WITHOUT_A_GPU:
        return
    assert any(math.isfinite(value) for value in values), values


@pytest.mark.parametrize("query", VARIABLES)
def test_every_variable_has_values(prometheus: Prometheus, query: str) -> None:
    metric, label = query.removeprefix("label_values(").removesuffix(")").split(", ")
    assert prometheus.get(f"label/{label}/values", **{"match[]": metric})


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_rule_is_answered(prometheus: Prometheus, expression: str) -> None:
    prometheus.values(expression)


def test_every_rule_is_evaluated_and_none_fires(prometheus: Prometheus) -> None:
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == len(EXPRESSIONS)
    assert {(rule["name"], rule["health"], rule.get("lastError")) for rule in rules} == {
        (rule["name"], "ok", None) for rule in rules
    }
    assert [rule["name"] for rule in rules if rule.get("state", "inactive") == "firing"] == []


@pytest.mark.parametrize(
    "record",
    [
        rule["record"]
        for group in yaml.safe_load(RULES.read_text())["groups"]
        for rule in group["rules"]
        if "record" in rule
    ],
)
def test_every_recorded_series_has_a_value(prometheus: Prometheus, record: str) -> None:
    assert any(math.isfinite(value) for value in prometheus.values(record))


def test_the_dashboard_uses_its_data_source_everywhere() -> None:
    sources = [target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]]
    assert set(sources) == {"${datasource}"} == {panel["datasource"]["uid"] for panel in PANELS}


def test_the_panels_do_not_overlap_and_have_titles_of_their_own() -> None:
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for position in [panel["gridPos"]]
        for x in range(position["x"], position["x"] + position["w"])
        for y in range(position["y"], position["y"] + position["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23
    for key in ("id", "title"):
        assert len({panel[key] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
