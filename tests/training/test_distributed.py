import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from training import checkpoint
from training.distributed import CPU, World, join_world
from training.networks.cyclegan import PRESETS

HELPER = Path(__file__).with_name("shared_fits.py")
ROOT = Path(__file__).resolve().parents[2]
FITS = (
    "cyclegan with a pool",
    "cyclegan without a pool",
    "cyclegan with augmentation",
    "cyclegan, G alone",
    "cyclegan, projected",
    "distillation",
    "gan",
)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def ranks(folder: Path) -> list[dict[str, Any]]:
    """What two processes that share every batch made of the fits."""
    rendezvous = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    result = subprocess.run(
        [sys.executable, str(HELPER), str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **rendezvous},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return [torch.load(folder / f"rank-{rank}.pt") for rank in (0, 1)]


@pytest.fixture(scope="module")
def alone() -> dict[str, dict[str, Any]]:
    """What this process alone makes of them."""
    helper = runpy.run_path(str(HELPER))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "compact", helper["TINY"])
        fits: dict[str, dict[str, Any]] = helper["fits"](World())
    return fits


def tensors(nested: Any, where: str = "") -> dict[str, Tensor]:
    """The tensors in a state, by their path."""
    if isinstance(nested, Tensor):
        return {where: nested}
    items = nested.items() if isinstance(nested, dict) else enumerate(nested) if isinstance(nested, list) else ()
    return {path: tensor for key, value in items for path, tensor in tensors(value, f"{where}/{key}").items()}


@pytest.mark.parametrize("fit", FITS)
def test_two_processes_get_the_gradients_of_one(
    ranks: list[dict[str, Any]], alone: dict[str, dict[str, Any]], fit: str
) -> None:
    expected = alone[fit]["gradients"]
    for rank in ranks:
        gradients = rank["fits"][fit]["gradients"]
        assert gradients.keys() == expected.keys()
        for name, gradient in gradients.items():
            assert (gradient - expected[name]).norm() < 1e-4 * expected[name].norm(), name


@pytest.mark.parametrize("fit", FITS)
def test_two_processes_get_the_weights_of_one_after_three_steps(
    ranks: list[dict[str, Any]], alone: dict[str, dict[str, Any]], fit: str
) -> None:
    # Adam moves a weight by 2e-4 a step: 2e-6 is a hundredth of one
    expected = alone[fit]["state"]
    for rank in ranks:
        for part in ("networks", "averages"):
            torch.testing.assert_close(rank["fits"][fit]["state"][part], expected[part], rtol=0, atol=2e-6)


@pytest.mark.parametrize("fit", FITS)
def test_two_processes_report_the_losses_of_one(
    ranks: list[dict[str, Any]], alone: dict[str, dict[str, Any]], fit: str
) -> None:
    for rank in ranks:
        for losses, expected in zip(rank["fits"][fit]["losses"], alone[fit]["losses"], strict=True):
            assert losses == pytest.approx(expected, rel=1e-4)


def test_two_processes_hold_the_pool_of_one(ranks: list[dict[str, Any]], alone: dict[str, dict[str, Any]]) -> None:
    expected = alone["cyclegan with a pool"]["state"]["pools"]
    assert expected["X"].shape == (4, 3, 32, 32)
    for rank in ranks:
        pools = rank["fits"]["cyclegan with a pool"]["state"]["pools"]
        torch.testing.assert_close(pools, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("fit", FITS)
def test_both_processes_hold_the_same_networks_bit_for_bit(ranks: list[dict[str, Any]], fit: str) -> None:
    one, other = (tensors(rank["fits"][fit]["state"]) for rank in ranks)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[path], other[path]) for path in one)


def test_batch_statistics_are_averaged_over_the_processes(ranks: list[dict[str, Any]]) -> None:
    one, other = (rank["batch norm"] for rank in ranks)
    means = [name for name in one if name.endswith("running_mean")]
    assert len(means) == 2
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_positions_of_a_batch_go_rank_by_rank(ranks: list[dict[str, Any]]) -> None:
    assert [rank["collectives"]["share"] for rank in ranks] == [[0, 1, 2], [3, 4, 5]]


def test_every_process_gathers_all_shares_in_order(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        assert rank["collectives"]["gather"].tolist() == [[0, 0], [1, 1]]


def test_an_average_is_over_the_processes(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        assert rank["collectives"]["average"].tolist() == [[0.5, 0.5]]


def test_a_flag_of_one_process_is_seen_by_all(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        assert rank["collectives"]["any"] == [False, True, True]


def test_a_signal_to_one_process_stops_both_at_the_same_image(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        assert rank["images"] == [24, 12, 24]


def test_two_processes_resume_bit_for_bit(ranks: list[dict[str, Any]], folder: Path) -> None:
    cut, uncut = (checkpoint.read(folder / name) for name in ("cut", "uncut"))
    for part in ("networks", "averages", "optimisers"):
        one, other = tensors(cut[part]), tensors(uncut[part])
        assert one.keys() == other.keys()
        assert all(torch.equal(one[path], other[path]) for path in one)
    assert [p.name for p in checkpoint.list_checkpoints(folder / "cut")] == [
        "checkpoint-000000012.pt",
        "checkpoint-000000024.pt",
    ]


@pytest.mark.parametrize(("batch", "size"), [(4, 3), (1, 2)])
def test_a_batch_that_does_not_divide_is_refused_with_what_would(batch: int, size: int) -> None:
    with pytest.raises(ValueError, match=f"batch {batch} does not divide among {size} .* a multiple of {size}"):
        World(rank=0, size=size).share(batch)


def test_a_process_alone_has_the_whole_batch() -> None:
    assert World().share(5) == range(5)


def test_a_process_alone_is_what_it_gathers_and_averages() -> None:
    ours = torch.arange(3.0)
    world = World()
    assert torch.equal(world.gather(ours), ours)
    assert torch.equal(world.average(ours), ours)
    assert world.any(True)
    assert not world.any(False)


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join_world(CPU) == World(rank=0, size=1, device=CPU)
    assert not torch.distributed.is_initialized()


def test_rank_zero_alone_writes() -> None:
    assert [World(rank, size=3).is_main for rank in range(3)] == [True, False, False]
