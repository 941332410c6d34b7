"""That the trial of the batcher finds faults."""

from pathlib import Path

import pytest

from benchmarks.reliability.batcher import batcher
from service.engine.queue import Entry


def test_a_request_that_gets_anothers_result_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add = Entry.add
    monkeypatch.setattr(Entry, "add", lambda entry, first, outputs: add(entry, first, outputs[::-1]))
    assert batcher(tmp_path, short=True).failed
