"""Processes that work on large pictures: what they return and raise, and how they end."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service import codecs
from service.card import SizeRule
from service.codec_process import CodecProcessError, CodecProcesses
from service.pictures import Prepared, Wanted, prepare
from service.problems import Problem

LONG = 60.0
"""Seconds that nothing here takes."""
LARGEST = 5000, 4000
SCHEDULE = Path("/proc/thread-self/schedstat")


@pytest.fixture
def processes() -> Iterator[CodecProcesses]:
    owner = CodecProcesses()
    yield owner
    owner.close()


def test_bytes_and_arrays_come_and_go(processes: CodecProcesses) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8)
    png = processes.run(LONG, codecs.from_model, pixels, (200, 300), "png")
    assert isinstance(png, bytes)
    rule = SizeRule(multiple=4, minimum=64)
    prepared = processes.run(LONG, prepare, png, Wanted(None, None, "native", rule, 10**6, 10**6))
    assert isinstance(prepared, Prepared)
    assert (prepared.size, prepared.format, prepared.source) == ((200, 300), "png", "png")
    assert (prepared.rows[0] == pixels).all()


def test_a_thread_keeps_its_process(processes: CodecProcesses) -> None:
    first = processes.run(LONG, os.getpid)
    assert first != os.getpid()
    assert processes.run(LONG, os.getpid) == first


def test_a_problem_arrives_as_one(processes: CodecProcesses) -> None:
    with pytest.raises(Problem) as raised:
        processes.run(LONG, codecs.decode, b"no picture", 10**6)
    assert (raised.value.status, raised.value.kind) == (415, "not-an-image")
    assert processes.run(LONG, len, b"still there") == 11


def test_an_error_tells_where_it_was_raised(processes: CodecProcesses) -> None:
    with pytest.raises(UnicodeDecodeError) as raised:
        processes.run(LONG, str, b"\xff", "utf-8")
    assert any("_tried" in note for note in raised.value.__notes__)


def test_what_is_printed_is_no_answer(processes: CodecProcesses, capfd: pytest.CaptureFixture[str]) -> None:
    assert processes.run(LONG, os.write, 1, b"hello") == 5
    assert capfd.readouterr().err == "hello"


def test_one_that_ends_concerns_its_own_work_only(processes: CodecProcesses) -> None:
    first = processes.run(LONG, os.getpid)
    with pytest.raises(CodecProcessError, match="status -6"):
        processes.run(LONG, os.abort)
    assert processes.run(LONG, os.getpid) != first


def test_one_that_ended_between_two_pictures_is_replaced(processes: CodecProcesses) -> None:
    first = processes.run(LONG, os.getpid)
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    assert processes.run(LONG, os.getpid) != first


def test_work_that_takes_too_long_is_ended(processes: CodecProcesses) -> None:
    first = processes.run(LONG, os.getpid)
    with pytest.raises(CodecProcessError, match="within"):
        processes.run(0.05, time.sleep, LONG)
    assert gone(first)
    assert processes.run(LONG, abs, -1) == 1


def test_closing_ends_them(processes: CodecProcesses) -> None:
    child = processes.run(LONG, os.getpid)
    processes.close()
    assert gone(child)


def test_ctrl_c_is_not_for_them(processes: CodecProcesses) -> None:
    assert processes.run(LONG, os.getsid, 0) != os.getsid(0)


def test_they_end_when_the_service_is_killed() -> None:
    script = (
        "import os; from service.codec_process import CodecProcesses\n"
        "print(CodecProcesses().run(60, os.getpid), flush=True); os.kill(os.getpid(), 9)"
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
    """The largest picture that is taken, half of it transparent."""
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
    return prepare, body, Wanted(None, None, 256, SizeRule(multiple=4, minimum=64), LARGEST[0] * LARGEST[1], 2_000_000)


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
def test_the_event_loop_is_never_kept_for_5_ms(processes: CodecProcesses, stage: str, kind: codecs.Format) -> None:
    """Three attempts, for what Python's lock takes it takes in each of them."""
    work = job(stage, kind)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(processes.run, LONG, abs, -1).result()  # the process is there

        async def attempt() -> float:
            loop = asyncio.get_running_loop()
            return await worst_lag(loop.run_in_executor(thread, processes.run, LONG, *work))

        assert any(asyncio.run(attempt()) < 0.005 for _ in range(3))
