"""The dashboard, read and written again by Grafana's own schema: what that does not know is lost on the way."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DASHBOARD = Path(__file__).parents[2] / "k8s" / "components" / "monitoring" / "dashboard.json"


@pytest.fixture(scope="module")
def written_again() -> Any:
    """`written_again(dashboard)`: what is left of it after Grafana's types."""
    models = pytest.importorskip(
        "grafana_foundation_sdk.models.dashboard", reason="grafana-foundation-sdk is not installed"
    )
    from grafana_foundation_sdk.cog import plugins
    from grafana_foundation_sdk.cog.encoder import JSONEncoder

    plugins.register_default_plugins()
    return lambda dashboard: json.loads(JSONEncoder().encode(models.Dashboard.from_json(dashboard)))


def differences(ours: Any, theirs: Any, where: str = "") -> Iterator[str]:
    """Places below `ours` that are not the same in `theirs`, which may have more: its defaults."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            yield from differences(value, theirs.get(key), f"{where}/{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(one, other, f"{where}/{i}")
    elif ours != theirs:
        yield where


def test_grafana_knows_every_field(written_again: Any) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert len(dashboard["panels"]) > 20
    assert list(differences(dashboard, written_again(copy.deepcopy(dashboard)))) == []


@pytest.mark.parametrize(
    "path",
    [
        ("refesh",),
        ("panels", 1, "gridPosition"),
        ("panels", 1, "options", "graphmode"),
        ("panels", 1, "fieldConfig", "defaults", "units"),
        ("panels", 1, "targets", 0, "expression"),
        ("templating", "list", 1, "multiple"),
    ],
    ids=lambda path: "/".join(map(str, path)),
)
def test_a_field_that_grafana_does_not_have_is_found(written_again: Any, path: tuple[str | int, ...]) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    *above, name = path
    place = dashboard
    for step in above:
        place = place[step]
    place[name] = "x"
    found = list(differences(dashboard, written_again(copy.deepcopy(dashboard))))
    assert found == ["/" + "/".join(map(str, path))]
