"""What promtool says of the rules and of the service's own output."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

ROOT = Path(__file__).parents[3]
RULES = ROOT / "k8s" / "components" / "monitoring" / "rules.yaml"
REPOSITORY = "{{ $externalLabels.gan_repository }}"
TESTS = Path(__file__).parent / "rules_test.yaml"
ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"] if "alert" in rule]


def run(*command: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], input=stdin, capture_output=True, text=True, timeout=120)


def test_the_rules_are_well_formed(tool: Callable[[str], str]) -> None:
    result = run(tool("promtool"), "check", "rules", "--lint-fatal", RULES)
    assert result.returncode == 0, result.stdout + result.stderr


def test_each_alert_fires_when_it_should_and_only_then(tool: Callable[[str], str]) -> None:
    result = run(tool("promtool"), "test", "rules", TESTS)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_has_a_test_that_makes_it_fire() -> None:
    fired = {
        case["alertname"]
        for test in yaml.safe_load(TESTS.read_text())["tests"]
        for case in test.get("alert_rule_test", [])
        if case.get("exp_alerts")
    }
    assert fired == {rule["alert"] for rule in ALERTS}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"] + rule["labels"].get("window", ""))
def test_an_alert_says_how_bad_what_and_where_to_read_on(rule: dict[str, dict[str, str]]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    page, _, anchor = rule["annotations"]["runbook_url"].removeprefix(REPOSITORY).partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor == str(rule["alert"]).lower()
    assert anchor in [heading.lower() for heading in headings]


def test_the_rules_look_for_the_job_that_prometheus_scrapes() -> None:
    jobs = {job for rule in ALERTS for job in re.findall(r'job="([^"]+)"', str(rule["expr"]))}
    config = yaml.safe_load((ROOT / "docker" / "prometheus" / "prometheus.yaml").read_text())
    assert jobs == {config["scrape_configs"][0]["job_name"]}


def test_the_label_that_makes_runbooks_links_is_the_one_that_is_documented() -> None:
    label = re.findall(r"externalLabels\.(\w+)", REPOSITORY)[0]
    for page in ("docs/operating/operations.md", "docker/prometheus/prometheus.yaml"):
        assert label in (ROOT / page).read_text()


def test_the_live_metrics_pass_the_linter(tool: Callable[[str], str], service: Any) -> None:
    text = httpx.get(f"{service.management}/metrics", trust_env=False).text
    assert 'gan_requests_total{outcome="deadline",route="/mnist/sample"}' in text
    result = run(tool("promtool"), "check", "metrics", stdin=text)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")
