import os
from pathlib import Path

import pytest

from service.runtime.cores import usable_cores

CORES = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", CORES),
        ("50000 100000", 1),
        ("100000 100000", 1),
        (f"{CORES * 100_000} 100000", CORES),
        ("99900000 100000", CORES),
        ("nonsense", CORES),
    ],
)
def test_a_containers_quota_counts(tmp_path: Path, quota: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(quota + "\n")
    assert usable_cores(tmp_path / "cpu.max") == cores


def test_without_a_quota_it_is_what_the_scheduler_allows(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "absent") == CORES
