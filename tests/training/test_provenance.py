import subprocess
from pathlib import Path

import pytest
import torch

from training import provenance


def test_it_names_commit_and_torch() -> None:
    described = provenance.describe()
    assert described["torch"] == torch.__version__
    assert described["git_commit"]


def test_the_commit_is_that_of_the_start_though_the_checkout_moves_on(monkeypatch: pytest.MonkeyPatch) -> None:
    provenance.git_commit.cache_clear()
    before = provenance.git_commit()

    def moved(*arguments: object, **options: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr(subprocess, "run", moved)
    assert provenance.git_commit() == before


def test_outside_a_checkout_it_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    provenance.git_commit.cache_clear()
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "training" / "provenance.py"))
    (tmp_path / "training").mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert provenance.git_commit() == "unknown"
    provenance.git_commit.cache_clear()
