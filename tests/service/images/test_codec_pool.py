"""The threads that decode and encode: how many work, what those who left leave, how they end."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator

import numpy as np
import pytest
from PIL import Image

from service.card import SizeRule
from service.deadline import Deadline
from service.errors import Problem
from service.images.codec_pool import CodecPool
from service.images.codec_process import CodecCostError, CodecProcess, CodecProcessError
from service.images.codecs import Weight
from service.images.preprocess import InputSpec
from service.telemetry.metrics import Metrics

pytestmark = pytest.mark.anyio

LONG = 60.0


@pytest.fixture
def codecs() -> Iterator[CodecPool]:
    codecs = CodecPool(1, Metrics(), 10**6)
    yield codecs
    codecs.close()


async def test_as_many_work_at_once_as_there_are(codecs: CodecPool) -> None:
    working, most = 0, 0

    def work() -> None:
        nonlocal working, most
        working += 1
        most = max(most, working)
        time.sleep(0.01)
        working -= 1

    await asyncio.gather(*(codecs.run(work) for _ in range(10)))
    assert most == 1


async def test_a_cancelled_caller_leaves_nothing_behind(codecs: CodecPool) -> None:
    opened, ran = threading.Event(), []
    first = asyncio.create_task(codecs.run(opened.wait, LONG))
    await asyncio.sleep(0)
    upload = np.zeros(10)
    there = weakref.ref(upload)
    second = asyncio.create_task(codecs.run(ran.append, upload))
    await asyncio.sleep(0.01)
    second.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await second
    del upload, second
    await asyncio.sleep(0.01)
    gc.collect()
    assert there() is None
    opened.set()
    assert await first
    assert ran == []


async def test_a_thread_that_was_left_is_free_when_it_has_ended(codecs: CodecPool) -> None:
    opened, ran = threading.Event(), []
    first = asyncio.create_task(codecs.run(opened.wait, LONG))
    await asyncio.sleep(0.01)
    first.cancel()
    second = asyncio.create_task(codecs.run(ran.append, 1))
    await asyncio.sleep(0.05)
    assert ran == []
    opened.set()
    await second
    assert ran == [1]


async def test_a_thread_keeps_its_process_until_that_ends(codecs: CodecPool) -> None:
    first, again = [await codecs.run(codecs.run_in_process, LONG, os.getpid) for _ in range(2)]
    assert first == again != os.getpid()
    with pytest.raises(CodecProcessError):
        await codecs.run(codecs.run_in_process, LONG, os.abort)
    second = await codecs.run(codecs.run_in_process, LONG, os.getpid)
    assert second != first
    os.kill(second, signal.SIGKILL)
    await asyncio.to_thread(os.waitid, os.P_PID, second, os.WEXITED | os.WNOWAIT)
    assert await codecs.run(codecs.run_in_process, LONG, os.getpid) not in (first, second)


async def test_a_thread_that_could_not_be_started_is_tried_again(
    codecs: CodecPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none_left)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="new thread"):
                await codecs.run(abs, -1)
    async with asyncio.timeout(LONG / 2):
        assert await codecs.run(abs, -1) == 1


async def test_a_process_that_could_not_be_started_is_tried_again(
    codecs: CodecPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CodecProcessError):
        await codecs.run(codecs.run_in_process, LONG, os.abort)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/nowhere/python")
        for _ in range(2):
            with pytest.raises(CodecProcessError, match="cannot be started"):
                await codecs.run(codecs.run_in_process, LONG, abs, -1)
    assert await codecs.run(codecs.run_in_process, LONG, abs, -1) == 1


async def test_close_waits_for_no_image(codecs: CodecPool) -> None:
    await codecs.run(codecs.run_in_process, LONG, abs, -1)
    left = asyncio.create_task(codecs.run(codecs.run_in_process, LONG, time.sleep, LONG))
    await asyncio.sleep(0.2)
    start = time.monotonic()
    codecs.close()
    assert time.monotonic() - start < LONG / 2
    with pytest.raises(CodecProcessError, match="status -9"):
        await left


async def test_failed_work_is_freed_without_the_garbage_collector(codecs: CodecPool) -> None:
    upload = np.zeros(10)
    there = weakref.ref(upload)
    gc.disable()
    try:
        with contextlib.suppress(TypeError):
            await codecs.run(codecs.run_in_process, LONG, abs, upload, 2)
        del upload
        await asyncio.sleep(0.05)
        assert there() is None
    finally:
        gc.enable()


async def test_large_uploads_take_turns_and_small_ones_pass(
    codecs: CodecPool, encoded: Callable[..., bytes], noise: Callable[..., Image.Image]
) -> None:
    large, small, most = encoded(noise(30, 30), "PNG"), encoded(noise(20, 20), "PNG"), 400
    async with codecs.turn([large[:9], large[9:]], most, Deadline.after(LONG)) as body:
        assert body == large
        async with codecs.turn([small], most, Deadline.after(LONG)) as body:
            assert body == small
        with pytest.raises(Problem) as raised:
            async with codecs.turn([large], most, Deadline.after(0.05)):
                pass
        assert raised.value.status == 504
    async with codecs.turn([large], most, Deadline.after(LONG)):
        pass


async def test_large_images_wait_for_pixels_in_the_budget(
    encoded: Callable[..., bytes], noise: Callable[..., Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first image takes all pixels; the second is not begun before it is done."""
    pool, body, running, most = CodecPool(2, Metrics(), 600_000), encoded(noise(800, 700), "PNG"), 0, 0

    def work(process: CodecProcess, seconds: float, *_: object) -> bytes:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.02)
        running -= 1
        return b""

    monkeypatch.setattr(CodecProcess, "run", work)
    weight = Weight.of_file(body, 10**7)
    assert not weight.light
    try:
        encodings = [pool.encode(Deadline.after(LONG), "png", bytes, weight=weight) for _ in range(4)]
        assert await asyncio.gather(*encodings) == [b""] * 4
    finally:
        pool.close()
    assert most == 1


SPEC = InputSpec(256, SizeRule(multiple=4, minimum=64), 10**7, 10**7, gpu=False)


async def test_a_light_image_does_not_wait_for_heavy_ones(
    codecs: CodecPool, encoded: Callable[..., bytes], noise: Callable[..., Image.Image]
) -> None:
    heavy = Weight.of_size((1000, 1000))
    job = asyncio.create_task(codecs.encode(Deadline.after(LONG), "png", time.sleep, LONG, weight=heavy))
    await asyncio.sleep(0.1)
    upload = await codecs.decode([encoded(noise(64, 64), "PNG")], SPEC, Deadline.after(LONG / 2))
    assert upload.image.size == (64, 64)
    assert not job.done()
    job.cancel()


async def test_heavy_images_that_would_wait_too_long_are_refused_at_once(
    encoded: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = Metrics()
    pool, seconds = CodecPool(1, metrics, 10**7), 0.2
    heavy, large = Weight.of_size((1000, 1000)), encoded(Image.new("RGB", (1000, 1000)), "PNG")

    def encode(seconds: float) -> Awaitable[bytes]:
        return pool.encode(Deadline.after(LONG), "png", time.sleep, seconds, weight=heavy)

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    try:
        for _ in range(3):
            await encode(seconds)
        assert pool.heavy_full_for(1.0) is None
        waiting = [asyncio.create_task(encode(seconds)) for _ in range(4)]
        await asyncio.sleep(0)
        assert value("gan_codec_jobs", lane="heavy") == 4
        assert value("gan_codec_jobs", lane="light") == 0
        assert pool.heavy_full_for(0.2) == 1
        with pytest.raises(Problem, match="too many large images wait") as raised:
            await pool.decode([large], SPEC, Deadline.after(0.3))
        assert (raised.value.status, raised.value.kind) == (503, "codecs-busy")
        assert raised.value.headers == {"Retry-After": "1"}
        assert value("gan_codec_refusals_total", reason="busy") == 1
        assert (await pool.decode([large], SPEC, Deadline.after(LONG))).image.size == (1000, 1000)  # it has time
        await asyncio.gather(*waiting)
    finally:
        pool.close()


async def test_an_image_that_takes_too_much_processor_time_is_refused_and_counted(
    encoded: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_time(process: CodecProcess, *_: object) -> None:
        raise CodecCostError("took too much processor time")

    metrics = Metrics()
    pool = CodecPool(1, metrics, 10**7)
    monkeypatch.setattr(CodecProcess, "run", no_time)
    try:
        with pytest.raises(Problem, match="more than 3 s of processor time: save it again") as raised:
            await pool.decode([encoded(Image.new("RGB", (1000, 1000)), "PNG")], SPEC, Deadline.after(LONG))
    finally:
        pool.close()
    assert (raised.value.status, raised.value.kind) == (422, "image-too-costly")
    assert metrics.registry.get_sample_value("gan_codec_refusals_total", {"reason": "costly"}) == 1
