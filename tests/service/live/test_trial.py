import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from service.card import CARD_FILE, MODEL_FILE, CardError, sha256_of
from service.live import trial

pytestmark = pytest.mark.anyio

Publish = Callable[..., Path]


def rehash(folder: Path) -> Path:
    """Gives a version's card the hash of its file."""
    card = json.loads((folder / CARD_FILE).read_text())
    card["sha256"] = sha256_of(folder / MODEL_FILE)
    (folder / CARD_FILE).write_text(json.dumps(card))
    return folder


async def test_versions_that_work_pass(tmp_path: Path, publish: Publish) -> None:
    await asyncio.gather(
        *(trial.run(publish(tmp_path, name)) for name in ("mnist", "mnist-conditional", "horse2zebra"))
    )


async def test_a_wrong_hash_is_refused(tmp_path: Path, publish: Publish) -> None:
    folder = publish(tmp_path, "mnist", sha256="0" * 64)
    with pytest.raises(CardError, match=r"mnist/1/model\.onnx has sha256 .* its card says 000000000000"):
        await trial.run(folder)


async def test_a_file_that_is_no_model_is_refused(tmp_path: Path, publish: Publish) -> None:
    folder = publish(tmp_path, "mnist")
    (folder / MODEL_FILE).write_bytes(b"PK\x03\x04 no model")
    with pytest.raises(CardError, match="mnist/1 does not run as its card says"):
        await trial.run(rehash(folder))


async def test_a_model_of_another_kind_is_refused(tmp_path: Path, publish: Publish) -> None:
    """Its graph runs, but gives other digits than the card says."""
    folder = publish(tmp_path, "mnist")
    model = onnx.load(folder / MODEL_FILE)
    (shape,) = (tensor for tensor in model.graph.initializer if tensor.name == "shape")
    shape.CopyFrom(onnx.numpy_helper.from_array(np.array([-1, 14, 56]), "shape"))
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    onnx.save(model, folder / MODEL_FILE)
    with pytest.raises(CardError, match=r"its output is uint8 \(1, 14, 56\), expected uint8 \(1, 28, 28\)"):
        await trial.run(rehash(folder))


async def test_weights_in_another_file_are_refused_however_the_model_writes_their_name(
    tmp_path: Path, publish: Publish
) -> None:
    """The entry's value in front of its key is the same to protobuf, and escapes a search for the key."""
    folder = publish(tmp_path, "mnist")
    onnx.save_model(
        onnx.load(folder / MODEL_FILE),
        folder / MODEL_FILE,
        save_as_external_data=True,
        location="w.bin",
        size_threshold=0,
    )
    key, value = b"\x0a\x08location", b"\x12\x05w.bin"
    content = (folder / MODEL_FILE).read_bytes()
    assert key + value in content
    (folder / MODEL_FILE).write_bytes(content.replace(key + value, value + key))
    with pytest.raises(CardError, match=r"does not run as its card says: .* [Ee]xternal"):
        await trial.run(rehash(folder))


async def test_a_trial_that_takes_too_long_is_ended(
    tmp_path: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "TRIAL_SECONDS", 0.05)
    with pytest.raises(CardError, match=r"mnist/1 does not run: its trial took over 0\.05 s"):
        await trial.run(publish(tmp_path, "mnist"))


async def test_a_trial_that_crashes_is_told_with_its_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_START", "import os; os.abort()")
    with pytest.raises(CardError, match="its trial ended with status -6"):
        await trial.run(tmp_path)


async def test_a_trial_leaves_no_process_when_its_caller_is_cancelled(tmp_path: Path, publish: Publish) -> None:
    task = asyncio.create_task(trial.run(publish(tmp_path, "mnist")))
    while not (children := _children()):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not children & _children()


def _children() -> set[str]:
    """Process ids of this process's children whose command line is a trial's."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            try:
                if b"service.live.trial" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.add(child)
            except OSError:
                continue
    return found
