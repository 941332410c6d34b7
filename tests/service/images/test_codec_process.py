"""The process that works on large images: what it returns and raises, and how it ends."""

import asyncio
import contextlib
import gc
import io
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.card import SizeRule
from service.errors import Problem
from service.images import codec_process, codecs
from service.images.codec_process import CodecCostError, CodecProcess, CodecProcessError, within
from service.images.preprocess import InputSpec, Prepared, prepare

LONG = 60.0
"""Seconds that nothing here takes."""
LARGEST = 5000, 4000
SCHEDULE = Path("/proc/thread-self/schedstat")


@pytest.fixture
def process() -> Iterator[CodecProcess]:
    process = CodecProcess()
    yield process
    process.close()


def test_bytes_and_arrays_come_and_go(process: CodecProcess) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8)
    png = process.run(LONG, codecs.from_model, pixels, (200, 300), "png")
    assert isinstance(png, bytes)
    rule = SizeRule(multiple=4, minimum=64)
    prepared = process.run(LONG, prepare, png, InputSpec("native", rule, 10**6, 10**6, gpu=False))
    assert isinstance(prepared, Prepared)
    assert (prepared.size, prepared.format) == ((200, 300), "png")
    assert (prepared.inputs[0] == pixels).all()


def test_a_problem_arrives_as_one(process: CodecProcess) -> None:
    with pytest.raises(Problem) as raised:
        process.run(LONG, codecs.decode, b"no image", 10**6)
    assert (raised.value.status, raised.value.kind) == (415, "not-an-image")
    assert process.run(LONG, len, b"still there") == 11


def test_an_error_tells_where_it_was_raised(process: CodecProcess) -> None:
    with pytest.raises(UnicodeDecodeError) as raised:
        process.run(LONG, str, b"\xff", "utf-8")
    assert any("_try" in note for note in raised.value.__notes__)


def test_printed_text_is_no_result() -> None:
    script = (
        "import os; from service.images.codec_process import CodecProcess; process = CodecProcess()\n"
        "assert process.run(60, os.write, 1, b'hello') == 5"
    )
    service = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (service.returncode, service.stdout, service.stderr) == (0, "", "hello")


def test_complaints_about_an_image_are_not_for_the_log() -> None:
    script = (
        "import io; from PIL import Image; from service.images import codecs\n"
        "from service.images.codec_process import CodecProcess; buffer = io.BytesIO()\n"
        "Image.effect_noise((64, 64), 99).convert('1').save(buffer, 'TIFF', compression='group4')\n"
        "body = bytearray(buffer.getvalue()); body[20:60] = bytes([85]) * 40\n"
        "CodecProcess().run(60, codecs.decode, bytes(body), 10**6); print('decoded')"
    )
    service = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (service.returncode, service.stdout, service.stderr) == (0, "decoded\n", "")


def test_a_raised_error_holds_no_memory(process: CodecProcess) -> None:
    """The garbage collector, which comes seldom, is not needed to give the image back."""
    body = np.zeros(10, np.uint8)
    there = weakref.ref(body)
    gc.disable()
    try:
        with contextlib.suppress(Problem):
            process.run(LONG, codecs.decode, body, 1)
        del body
        assert there() is None
    finally:
        gc.enable()


def test_a_crash_is_told(process: CodecProcess) -> None:
    with pytest.raises(CodecProcessError, match="status -6"):
        process.run(LONG, os.abort)
    assert not process.alive


def test_one_that_takes_too_long_is_ended(process: CodecProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec_process, "LEAST_SECONDS", 0.05)
    child = process.run(LONG, os.getpid)
    with pytest.raises(CodecProcessError, match=r"took over 0\.1 s"):
        process.run(0.1, time.sleep, LONG)
    assert gone(child)


def test_one_that_takes_too_much_processor_time_is_ended(process: CodecProcess) -> None:
    child = process.run(LONG, os.getpid)
    for _ in range(3):  # each has its own time
        assert process.run(LONG, within, 1, sum, range(5_000_000)) > 0
    with pytest.raises(CodecCostError, match="processor time"):
        process.run(LONG, within, 1, sum, range(10**12))
    assert gone(child)


def test_one_that_does_not_even_read_is_ended(process: CodecProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec_process, "LEAST_SECONDS", 0.05)
    child = process.run(LONG, os.getpid)
    os.kill(child, signal.SIGSTOP)
    with pytest.raises(CodecProcessError, match="took over"):
        process.run(0.1, len, bytes(2**20))
    assert gone(child)


def test_a_passed_deadline_does_not_end_the_process(process: CodecProcess) -> None:
    assert process.run(0, abs, -1) == 1


def test_one_that_cannot_be_started_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(CodecProcessError, match=r"cannot be started: .*No such file"):
        CodecProcess()


def test_closing_ends_it(process: CodecProcess) -> None:
    child = process.run(LONG, os.getpid)
    process.close()
    assert gone(child)


def test_signals_to_stop_are_for_the_service(process: CodecProcess) -> None:
    child = process.run(LONG, os.getpid)
    assert os.getsid(child) != os.getsid(0)  # where Ctrl-C does not reach
    os.kill(child, signal.SIGTERM)
    assert process.run(LONG, os.getpid) == child


def test_it_ends_when_the_service_is_killed() -> None:
    script = (
        "import os; from service.images.codec_process import CodecProcess; process = CodecProcess()\n"
        "print(process.run(60, os.getpid), flush=True); os.kill(os.getpid(), 9)"
    )
    service = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert service.returncode == -signal.SIGKILL, service.stderr
    child, until = int(service.stdout), time.monotonic() + 30
    while not gone(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert gone(child)


def gone(pid: int) -> bool:
    """Whether the process has ended; one that nobody has waited for yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def transparent(kind: codecs.Format) -> bytes:
    """The largest image that is taken, half of it transparent."""
    buffer = io.BytesIO()
    options = {"method": 0} if kind == "webp" else {"compress_level": 1}
    Image.new("RGBA", LARGEST, (200, 100, 0, 128)).save(buffer, kind, **options)
    return buffer.getvalue()


def job(stage: str, kind: codecs.Format) -> tuple[Any, ...]:
    """A function and its arguments: the most that it may be asked for."""
    pixels = np.random.default_rng(0).integers(0, 256, (256, 320, 3), dtype=np.uint8)
    if stage == "encode":
        return codecs.from_model, pixels, LARGEST, kind
    body = codecs.from_model(pixels, LARGEST, kind) if kind == "jpeg" else transparent(kind)
    return (
        prepare,
        body,
        InputSpec(256, SizeRule(multiple=4, minimum=64), LARGEST[0] * LARGEST[1], 2_000_000, gpu=False),
    )


@dataclass
class Clock:
    """What a machine that others use took from the thread, to be told from what Python's lock took."""

    now: float
    waited: float
    """Seconds for a core."""
    stolen: int
    """Ticks that the machine's host took."""

    @classmethod
    def read(cls) -> "Clock":
        stolen = Path("/proc/stat").read_text().split(maxsplit=9)[8]
        return cls(time.perf_counter(), int(SCHEDULE.read_text().split()[1]) / 1e9, int(stolen))


async def worst_lag(running: "asyncio.Future[object]") -> float:
    """Seconds by which the event loop was late at most until `running` was done, for reasons of this process."""
    worst = 0.0
    while not running.done():
        start = Clock.read()
        await asyncio.sleep(0.001)
        end = Clock.read()
        late = end.now - start.now - 0.001 - (end.waited - start.waited)
        if late > worst:
            await asyncio.sleep(0.02)  # the host's ticks are counted late
            late -= (Clock.read().stolen - start.stolen) / os.sysconf("SC_CLK_TCK")
        worst = max(worst, late)
    await running
    return worst


@pytest.mark.skipif(not SCHEDULE.exists(), reason="the system does not say how long a thread waited for a core")
@pytest.mark.parametrize("kind", codecs.MEDIA_TYPES)
@pytest.mark.parametrize("stage", ["decode", "encode"])
def test_the_event_loop_is_never_kept_for_5_ms(process: CodecProcess, stage: str, kind: codecs.Format) -> None:
    """Three attempts, for what Python's lock takes it takes in each of them."""
    work = job(stage, kind)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(process.run, LONG, abs, -1).result()  # it is there

        async def attempt() -> float:
            loop = asyncio.get_running_loop()
            return await worst_lag(loop.run_in_executor(thread, process.run, LONG, *work))

        assert any(asyncio.run(attempt()) < 0.005 for _ in range(3))
