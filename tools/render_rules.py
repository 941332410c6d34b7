"""Writes the PrometheusRule of k8s/components/monitoring from the rules beside it: python -m tools.render_rules

Prometheus reads rules.yaml itself; its operator wants the same groups inside a resource, which kustomize cannot make.
"""

from pathlib import Path

MONITORING = Path(__file__).resolve().parent.parent / "k8s" / "components" / "monitoring"
RULES, RESOURCE = MONITORING / "rules.yaml", MONITORING / "prometheusrule.yaml"

_HEAD = """\
# Written by tools/render_rules.py from rules.yaml; a test keeps it so.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: gan-serving
  labels:
    app.kubernetes.io/name: gan-serving
spec:
"""


def prometheus_rule() -> str:
    """The resource: the rules file, indented under `spec`, comments included."""
    lines = RULES.read_text().splitlines()
    return _HEAD + "".join(f"  {line}\n" if line else "\n" for line in lines)


if __name__ == "__main__":
    RESOURCE.write_text(prometheus_rule())
