import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch

from training import checkpoint
from training.checkpoint import CheckpointError


def state(images: int = 64) -> dict[str, Any]:
    return {
        "images": images,
        "task": "gan",
        "weights": {"a": torch.arange(1000.0), "b": torch.tensor([1.5], dtype=torch.bfloat16)},
        "pools": {"X": None},
        "betas": (0.5, 0.999),
    }


def add_hash(path: Path) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".pt.sha256").write_text(f"{digest}  {path.name}\n")


class Intruder:
    """Touches a file when it is unpickled."""

    def __init__(self, touched: Path) -> None:
        self.touched = touched

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.touched,)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    back = checkpoint.read(checkpoint.write(tmp_path, state()))
    assert torch.equal(back["weights"]["a"], torch.arange(1000.0))
    assert back["weights"]["b"].dtype is torch.bfloat16
    assert {k: back[k] for k in ("images", "task", "pools", "betas")} == {
        "images": 64,
        "task": "gan",
        "pools": {"X": None},
        "betas": (0.5, 0.999),
    }


def test_a_folder_is_read_at_its_newest_checkpoint(tmp_path: Path) -> None:
    for images in (1_000, 20_000):
        checkpoint.write(tmp_path, state(images))
    assert checkpoint.read(tmp_path)["images"] == 20_000


def test_the_newest_two_are_kept_with_their_hashes(tmp_path: Path) -> None:
    for images in (1, 2, 3, 4):
        checkpoint.write(tmp_path, state(images))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "checkpoint-000000003.pt",
        "checkpoint-000000003.pt.sha256",
        "checkpoint-000000004.pt",
        "checkpoint-000000004.pt.sha256",
    ]
    assert checkpoint.read(tmp_path / "checkpoint-000000003.pt")["images"] == 3


def test_the_hash_is_in_the_form_of_sha256sum(tmp_path: Path) -> None:
    path = checkpoint.write(tmp_path, state())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (tmp_path / "checkpoint-000000064.pt.sha256").read_text() == f"{digest}  checkpoint-000000064.pt\n"


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    path = checkpoint.write(tmp_path, state())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"checkpoint-000000064\.pt.*truncated or altered"):
        checkpoint.read(tmp_path)


def test_a_checkpoint_with_one_altered_byte_is_refused(tmp_path: Path) -> None:
    path = checkpoint.write(tmp_path, state())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="truncated or altered"):
        checkpoint.read(path)


def test_a_checkpoint_without_its_hash_is_refused(tmp_path: Path) -> None:
    path = checkpoint.write(tmp_path, state())
    path.with_suffix(".pt.sha256").unlink()
    with pytest.raises(CheckpointError, match=r"no checkpoint-000000064\.pt\.sha256 beside it"):
        checkpoint.read(path)


def test_an_empty_hash_is_refused(tmp_path: Path) -> None:
    path = checkpoint.write(tmp_path, state())
    path.with_suffix(".pt.sha256").write_text("")
    with pytest.raises(CheckpointError, match="does not match"):
        checkpoint.read(path)


@pytest.mark.parametrize("foreign", [[torch.zeros(3)], {"state_dict": {}}, torch.zeros(3)], ids=type)
def test_a_torch_file_of_another_project_is_refused(tmp_path: Path, foreign: object) -> None:
    path = tmp_path / "checkpoint-000000001.pt"
    torch.save(foreign, path)
    add_hash(path)
    with pytest.raises(CheckpointError, match="not a checkpoint of this project"):
        checkpoint.read(path)


def test_a_file_that_torch_cannot_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint-000000001.pt"
    path.write_text("not a checkpoint\n")
    add_hash(path)
    with pytest.raises(CheckpointError, match="not a checkpoint of this project"):
        checkpoint.read(path)


def test_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint-000000001.pt"
    torch.save({**state(), "format": checkpoint.FORMAT + 1}, path)
    add_hash(path)
    with pytest.raises(CheckpointError, match=f"format {checkpoint.FORMAT} expected"):
        checkpoint.read(path)


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    path, touched = tmp_path / "checkpoint-000000001.pt", tmp_path / "touched"
    torch.save({"format": checkpoint.FORMAT, "images": 1, "weights": Intruder(touched)}, path)
    add_hash(path)
    with pytest.raises(CheckpointError, match="not a checkpoint of this project"):
        checkpoint.read(path)
    assert not touched.exists()
    torch.load(path, weights_only=False)  # it would have
    assert touched.exists()


def test_after_an_interrupted_write_the_previous_checkpoint_is_the_newest(tmp_path: Path) -> None:
    checkpoint.write(tmp_path, state(1))
    with pytest.raises(Exception, match="pickle"):
        checkpoint.write(tmp_path, {**state(2), "unwritable": lambda: None})
    assert (tmp_path / "checkpoint-000000002.partial").stat().st_size > 0
    assert checkpoint.read(tmp_path)["images"] == 1


def test_an_interrupted_write_can_be_repeated(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-000000002.partial").write_bytes(b"PK")
    checkpoint.write(tmp_path, state(2))
    assert checkpoint.read(tmp_path)["images"] == 2
    assert not list(tmp_path.glob("*.partial"))


def test_an_empty_folder_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds no checkpoint-\*\.pt"):
        checkpoint.read(tmp_path)


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent\.pt does not exist"):
        checkpoint.read(tmp_path / "absent.pt")


def test_other_files_of_a_folder_are_not_listed(tmp_path: Path) -> None:
    for name in ("checkpoint-1.pt", "checkpoint-best.pt", "checkpoint-000000001.pt.sha256", "stats.jsonl"):
        (tmp_path / name).touch()
    path = checkpoint.write(tmp_path, state(7))
    assert checkpoint.list_checkpoints(tmp_path) == [path]
