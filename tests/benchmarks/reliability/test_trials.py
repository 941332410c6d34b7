"""The short form of each trial, with the real service and its bundled models."""

import random
from pathlib import Path

import pytest

from benchmarks.reliability import fuzz, soak, traffic
from benchmarks.reliability.__main__ import CHAOS, Trial


@pytest.mark.parametrize("trial", CHAOS.values(), ids=CHAOS)
def test_nothing_fails_that_should_not(tmp_path: Path, trial: Trial) -> None:
    finding = trial(tmp_path, short=True)
    assert finding.failed == []
    assert finding.tried


def test_seconds_of_the_soak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory and latency are not compared: so short a run is still warming up."""
    monkeypatch.setattr(soak, "RISE", 10.0)
    monkeypatch.setattr(soak, "LATENCY_RISE", 1000.0)
    assert soak.soak(tmp_path, minutes=0.03).failed == []


def test_seconds_of_the_fuzzer(tmp_path: Path) -> None:
    finding = fuzz.mutations(tmp_path, minutes=0.02, seed=random.randrange(2**32))
    assert finding.failed == [], finding.tried


def test_a_folder_of_files_is_counted_by_status(tmp_path: Path) -> None:
    (tmp_path / "corpora" / "ours").mkdir(parents=True)
    (tmp_path / "corpora" / "ours" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "corpora" / "ours" / "text.txt").write_text("no image")
    finding = fuzz.corpora(tmp_path, tmp_path / "corpora")
    assert (finding.failed, finding.tried) == ([], "2 files")
    assert finding.figures["ours"] == "1 x 415, 1 x 422"


def test_a_queue_that_serves_only_the_first_requests_in_time_is_a_fault() -> None:
    peak = 10.0
    assert traffic.goodput_faults(round(traffic.DEADLINE_SECONDS * peak), peak)
    assert traffic.goodput_faults(round(10 * traffic.DEADLINE_SECONDS * peak), peak) == []
