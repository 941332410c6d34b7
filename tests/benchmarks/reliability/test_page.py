import json
from pathlib import Path

from benchmarks.reliability.__main__ import CHAOS
from benchmarks.reliability.page import EXPECTED, ORDER, page
from benchmarks.reliability.report import RESULTS, Finding
from benchmarks.report import ROOT


def saved(folder: Path, finding: Finding) -> dict[str, dict[str, object]]:
    finding.save(folder, "python -m benchmarks.reliability chaos", "abc1234")
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


def test_the_page_has_a_row_for_every_trial() -> None:
    assert set(ORDER) == CHAOS.keys() | EXPECTED.keys()
    rows = [line for line in page({}).splitlines() if "not run yet" in line]
    assert len(rows) == len(ORDER)


def test_a_failure_is_shown_and_the_machine_named(tmp_path: Path) -> None:
    found = saved(tmp_path, Finding("overload", "much", "10 requests", ["2 x reset"], "two", {"p99": 0.5}))
    text = page(found)
    assert "| overload | much | 10 requests | 2 x reset | two | `python -m benchmarks.reliability chaos` |" in text
    assert "| p99 | 0.5 |" in text
    assert f"{found['overload']['cores']} shared cores" in text


def test_many_failures_are_cut(tmp_path: Path) -> None:
    text = page(saved(tmp_path, Finding("overload", "much", "10", [f"failure {n}" for n in range(9)])))
    assert "failure 4<br>and 4 more" in text
    assert "failure 5" not in text


def test_the_page_is_current() -> None:
    found = {path.stem: json.loads(path.read_text()) for path in RESULTS.glob("*.json")}
    assert page(found) == (ROOT / "docs" / "operating" / "reliability.md").read_text()
