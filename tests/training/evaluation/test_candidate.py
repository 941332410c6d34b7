from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from training import checkpoint
from training.data.errors import DataError
from training.evaluation.candidate import graph_sha256, open_candidates
from training.images import to_signed, to_uint8
from training.loop import describe
from training.tasks.base import Task


def save(task: Task, folder: Path) -> Path:
    return checkpoint.write(folder, {"task": task.name, "images": 8, **describe(task), **task.state()})


def translator(folder: Path, **properties: str) -> Path:
    """A published file that copies images."""
    axes = ["N", "H", "W", 3]
    values = [helper.make_tensor_value_info(name, TensorProto.UINT8, axes) for name in ("image", "translation")]
    node = helper.make_node("Identity", ["image"], ["translation"])
    model = helper.make_model(
        helper.make_graph([node], "copy", values[:1], values[1:]),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    helper.set_model_props(model, properties)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


@pytest.mark.parametrize("settings", [{}, {"conditional": True}])
def test_a_checkpoint_of_digits_draws_what_its_averaged_generator_draws(
    gan_task: Callable[..., Task], tmp_path: Path, settings: dict[str, bool]
) -> None:
    task = gan_task(**settings)
    (candidate,) = open_candidates(save(task, tmp_path))
    z, labels = torch.randn(5, 4), [torch.arange(5)] if candidate.conditional else []
    expected = to_uint8(task.averages["generator"](z, *labels))
    assert torch.equal(candidate.generate(z, *labels, batch=2), expected)
    assert candidate.graph_sha256 is None


def test_a_run_of_a_pair_has_both_directions(cyclegan_task: Callable[..., Task], tmp_path: Path) -> None:
    task = cyclegan_task()
    save(task, tmp_path)
    forth, back = open_candidates(tmp_path)
    assert [forth.direction, back.direction] == ["horse2zebra", "zebra2horse"]
    image = torch.randint(256, (1, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(back.generate(image, batch=4), to_uint8(task.averages["F"](to_signed(image))))


def test_a_published_translation_takes_and_gives_planes(tmp_path: Path) -> None:
    path = translator(tmp_path, task="translate", name="horse2zebra", direction="horse2zebra")
    (candidate,) = open_candidates(path)
    assert (candidate.name, candidate.direction, candidate.latent) == ("horse2zebra", "horse2zebra", None)
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5, 3, 16, 20), dtype=np.uint8))
    assert torch.equal(candidate.generate(images, batch=2), images)


def test_the_hash_is_that_of_the_graph_not_of_what_is_said_about_it(tmp_path: Path) -> None:
    first = onnx.load(translator(tmp_path, task="translate", name="horse2zebra"))
    (candidate,) = open_candidates(tmp_path / "model.onnx")
    second = onnx.load(translator(tmp_path, task="translate", name="horse2zebra", scores="good"))
    assert candidate.graph_sha256 == graph_sha256(first) == graph_sha256(second)
    second.graph.node[0].name = "another"
    assert graph_sha256(second) != graph_sha256(first)


def test_a_file_that_was_not_published_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="was not published"):
        list(open_candidates(translator(tmp_path, author="somebody")))


@pytest.mark.parametrize("content", [b"", b"no model"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(DataError, match="not a readable ONNX file"):
        list(open_candidates(tmp_path / "model.onnx"))
