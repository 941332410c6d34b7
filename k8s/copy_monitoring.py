"""Copies alert rules and dashboard from docker/ into the monitoring component; kustomize reads nothing outside itself.

.venv/bin/python k8s/copy_monitoring.py
"""

from pathlib import Path

HERE = Path(__file__).resolve().parent
RULES = HERE.parent / "docker" / "prometheus" / "rules.yaml"
DASHBOARD = HERE.parent / "docker" / "grafana" / "dashboards" / "gan.json"
COMPONENT = HERE / "components" / "monitoring"

_HEAD = """\
# Written by k8s/copy_monitoring.py from docker/prometheus/rules.yaml; a test keeps it so.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: gan-serving
  labels:
    app.kubernetes.io/name: gan-serving
spec:
"""


def prometheus_rule() -> str:
    """The PrometheusRule: the rules file, indented under its spec, comments and all."""
    lines = RULES.read_text().splitlines()
    return _HEAD + "".join(f"  {line}\n" if line else "\n" for line in lines)


if __name__ == "__main__":
    (COMPONENT / "prometheusrule.yaml").write_text(prometheus_rule())
    (COMPONENT / DASHBOARD.name).write_bytes(DASHBOARD.read_bytes())
