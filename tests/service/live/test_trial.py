import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from service.card import CARD_FILE, MODEL_FILE, CardError, sha256_of
from service.live import trial

pytestmark = pytest.mark.anyio

Publish = Callable[..., Path]
PATIENCE_S = 30.0


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


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("os.abort()", r"it crashed ONNX Runtime \(SIGABRT\): export the model again"),
        ("os.kill(os.getpid(), 11)", r"it crashed ONNX Runtime \(SIGSEGV\): export the model again"),
        ("os.kill(os.getpid(), 9)", "its trial was killed, .*: give the service more memory"),
        ("os.kill(os.getpid(), 24)", "its trial took over 30 s of processor time: export a smaller model"),
        ("os._exit(7)", "its trial ended with status 7: load it again"),
    ],
)
async def test_a_trial_that_says_nothing_is_explained_by_its_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, reason: str
) -> None:
    monkeypatch.setattr(trial, "_START", f"import os; {code}")
    with pytest.raises(CardError, match=reason):
        await trial.run(tmp_path)


async def test_a_trial_that_needs_too_much_processor_time_is_ended_by_its_limit(
    tmp_path: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card's hash of a file of 32 GiB, all holes, takes many seconds."""
    folder = publish(tmp_path, "mnist")
    os.truncate(folder / MODEL_FILE, 2**35)
    start = f"import service.live.trial as t; t.TRIAL_CPU_SECONDS = 1; {trial._START}"
    monkeypatch.setattr(trial, "_START", start)
    with pytest.raises(CardError, match="of processor time"):
        await trial.run(folder)


async def test_a_trial_imports_nothing_from_the_working_directory(
    tmp_path: Path, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnxruntime.py").write_text("open('imported', 'w')")
    monkeypatch.chdir(tmp_path)
    await trial.run(publish(tmp_path / "models", "mnist"))
    assert not (tmp_path / "imported").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
async def test_a_trial_ends_with_a_service_that_is_killed(tmp_path: Path, publish: Publish) -> None:
    folder = publish(tmp_path, "mnist")
    os.truncate(folder / MODEL_FILE, 2**35)  # all holes; its hash takes many seconds
    imports = "import asyncio, pathlib, sys; from service.live import trial"
    code = f"{imports}; asyncio.run(trial.run(pathlib.Path(sys.argv[1])))"
    service = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(folder))
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not (trials := [child for child in _children(service.pid) if _is_nice(child)]):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            (child,) = trials
            os.kill(int(child), signal.SIGSTOP)  # it cannot end by itself
            service.kill()
            await service.wait()
            while _runs(child):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        for one in _children(service.pid) if service.returncode is None else trials:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(one), signal.SIGKILL)
        if service.returncode is None:
            service.kill()


async def test_a_trial_leaves_no_process_when_its_caller_is_cancelled(tmp_path: Path, publish: Publish) -> None:
    task = asyncio.create_task(trial.run(publish(tmp_path, "mnist")))
    while not (children := _children()):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not children & _children()


def _state(process: str) -> list[str]:
    """The fields of a process's /proc/PID/stat that follow its name."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def _is_nice(process: str) -> bool:
    """Whether a trial has begun with its work."""
    return int(_state(process)[16]) == min(os.nice(0) + trial.NICENESS, 19)


def _runs(process: str) -> bool:
    """Whether a process is there, and not only waits for its parent."""
    try:
        return _state(process)[0] != "Z"
    except OSError:
        return False


def _children(parent: int | str = "self") -> set[str]:
    """Process ids of a process's children whose command line is a trial's."""
    found = set()
    for task in Path(f"/proc/{parent}/task").iterdir():
        for child in (task / "children").read_text().split():
            try:
                if b"service.live.trial" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.add(child)
            except OSError:
                continue
    return found
