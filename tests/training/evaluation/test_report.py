import json
from pathlib import Path

import pytest

from training.evaluation.report import Report, score, write_report


def test_a_report_is_written_under_the_models_name_and_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = [score("FID (Inception)", 3.25, "10 digits", (3.0, 3.5)), score("digits above 1%", 10, "the same")]
    path = write_report(Report(model="mnist", graph_sha256="ab", scores=scores), tmp_path / "new")
    assert path == tmp_path / "new" / "mnist.json"
    assert json.loads(path.read_text()) == {
        "model": "mnist",
        "graph_sha256": "ab",
        "scores": [
            {"metric": "FID (Inception)", "value": 3.25, "low": 3.0, "high": 3.5, "protocol": "10 digits"},
            {"metric": "digits above 1%", "value": 10.0, "low": None, "high": None, "protocol": "the same"},
        ],
    }
    out = capsys.readouterr().out
    assert "FID (Inception): 3.2500 [3.000, 3.500]  (10 digits)" in out
    assert "digits above 1%: 10.0000  (the same)" in out
