import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from service.card import read_card
from service.runtime import cpu
from service.runtime.cpu import CpuSession, usable_cores
from service.runtime.slots import Slot
from service.settings import BUNDLED_MODELS

SLOT = Slot(0)
STATM = Path("/proc/self/statm")


def resident_mb() -> float:
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.fixture
def open_model(tmp_path: Path, publish: Callable[..., Path]) -> Callable[..., CpuSession]:
    """`open_model(name, **changes)`: one of the tiny models."""

    def open_it(name: str, threads: int = 2, max_items: int = 64, images: int = 1) -> CpuSession:
        folder = publish(tmp_path, name)
        return CpuSession(folder, read_card(folder), threads, max_items, images)

    return open_it


@pytest.mark.parametrize("alone", [True, False])
def test_a_batch_goes_through_the_model(open_model: Callable[..., CpuSession], alone: bool) -> None:
    batch = np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), dtype=np.uint8)
    output = open_model("horse2zebra").run(SLOT, batch, alone)
    assert output.dtype == np.uint8
    assert (output == 255 - batch).all()


def test_a_samplers_seeds_become_its_latent_vectors(open_model: Callable[..., CpuSession]) -> None:
    session = open_model("mnist")
    digits = session.run(SLOT, np.array([[5], [6], [5]], np.uint64), False)
    assert digits.shape == (3, 28, 28)
    assert (digits[0] == digits[2]).all()
    assert (digits[0] != digits[1]).any()


def test_a_sampler_with_labels_gets_them_from_the_second_column(open_model: Callable[..., CpuSession]) -> None:
    digits = open_model("mnist-conditional").run(SLOT, np.array([[5, 3], [5, 4]], np.uint64), False)
    levels = [np.unique(digit) for digit in digits]
    assert [len(level) for level in levels] == [1, 1]
    assert int(levels[1][0]) - int(levels[0][0]) == 25


def test_threads_share_a_session(open_model: Callable[..., CpuSession]) -> None:
    session = open_model("horse2zebra")
    batches = [np.full((1, 64, 64, 3), value, np.uint8) for value in range(200)]
    with ThreadPoolExecutor(4) as threads:
        outputs = list(threads.map(lambda rows: session.run(SLOT, rows, False), batches))
    assert [int(output.max()) for output in outputs] == [255 - value for value in range(200)]


@pytest.mark.parametrize(("waiting", "taken"), [(1, 1), (5, 5), (8, 8), (9, 8), (1000, 8)])
def test_digits_that_wait_run_together_up_to_the_largest_batch(
    open_model: Callable[..., CpuSession], waiting: int, taken: int
) -> None:
    assert open_model("mnist", max_items=8).batch_size((1,), waiting) == taken


@pytest.mark.parametrize(
    ("images", "side", "taken"), [(1, 256, 1), (1, 64, 16), (1, 1024, 1), (4, 256, 4), (4, 320, 2)]
)
def test_images_run_together_up_to_so_many_pixels(
    open_model: Callable[..., CpuSession], images: int, side: int, taken: int
) -> None:
    assert open_model("horse2zebra", images=images).batch_size((side, side, 3), 100) == taken


@pytest.mark.parametrize(
    ("seconds_a_row", "max_items", "rows"), [(0.0001, 64, 8), (0.0001, 4, 4), (0.01, 64, 0), (0.0, 64, 64)]
)
def test_what_runs_on_the_event_loop_is_timed_at_load(
    open_model: Callable[..., CpuSession],
    monkeypatch: pytest.MonkeyPatch,
    seconds_a_row: float,
    max_items: int,
    rows: int,
) -> None:
    monkeypatch.setattr(cpu, "INLINE_SECONDS", 0.001)
    monkeypatch.setattr(cpu, "measure", lambda session, feed: seconds_a_row * len(feed["z"]))
    assert open_model("mnist", max_items=max_items).inline_items == rows


def test_images_never_run_on_the_event_loop(open_model: Callable[..., CpuSession]) -> None:
    assert open_model("horse2zebra").inline_items == 0


@pytest.mark.skipif(not STATM.exists(), reason="no /proc")
def test_the_memory_of_a_large_image_is_given_back() -> None:
    folder = next((BUNDLED_MODELS / "horse2zebra").iterdir())
    session = CpuSession(folder, read_card(folder), threads=1, max_items=1, images=1)
    before, large = resident_mb(), np.zeros((1, 1024, 1024, 3), np.uint8)
    session.run(SLOT, large, False)
    assert resident_mb() - before < 150  # it took 600


# usable cores


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
