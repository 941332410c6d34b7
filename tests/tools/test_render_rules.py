import yaml

from tools.render_rules import RESOURCE, RULES, prometheus_rule


def test_the_resource_holds_the_rules_that_prometheus_reads() -> None:
    assert RESOURCE.read_text() == prometheus_rule(), "run python -m tools.render_rules"
    assert yaml.safe_load(RESOURCE.read_text())["spec"] == yaml.safe_load(RULES.read_text())
