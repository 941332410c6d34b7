"""Threads that decode and encode images, each with a process for work that would hold Python's lock too long."""

import asyncio
import contextlib
import contextvars
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from service.deadline import Deadline
from service.errors import Problem
from service.images import codecs, preprocess
from service.images.codec_process import CodecProcess, CodecProcessError
from service.images.pixel_budget import PixelBudget
from service.telemetry import tracing
from service.telemetry.metrics import Metrics

log = logging.getLogger("service")

T = TypeVar("T")


@dataclass(frozen=True)
class Upload:
    """An upload, decoded at model size, and its file, from which its full size can be decoded again."""

    body: bytes
    weight: codecs.Weight
    """Of decoding `body`."""
    image: preprocess.Prepared


class CodecPool:
    """Owns the threads and their processes. A process starts when it is first needed, and again after it has ended."""

    def __init__(self, count: int, metrics: Metrics, pixels: int) -> None:
        """`count`: codecs that run at the same time. `pixels`: of all images that they work on in their processes."""
        self._metrics, self._budget = metrics, PixelBudget(pixels)
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="codec")
        self._free, self._large = asyncio.Semaphore(count), asyncio.Lock()
        self._of_this_thread = threading.local()
        self._lock, self._processes, self._closed = threading.Lock(), set[CodecProcess](), False

    async def decode(self, chunks: Iterable[bytes], spec: preprocess.InputSpec, deadline: Deadline) -> Upload:
        """Decodes an upload and resizes it for its model.

        Raises Problem as `preprocess.prepare` does, 504 past the deadline, 500 when the codec process ends.
        """
        return await self._in_time(deadline, self._decode, chunks, spec, deadline)

    @contextlib.asynccontextmanager
    async def turn(self, chunks: Iterable[bytes], most_pixels: int, deadline: Deadline) -> AsyncIterator[bytes]:
        """Gives the joined body of an upload. Uploads of more than `most_pixels` are in such blocks one at a time.

        This bounds the memory of images that are kept at full size. Raises Problem 504 past the deadline.
        """
        body = await self._in_time(deadline, b"".join, chunks)
        weight = await self._in_time(deadline, codecs.Weight.of_file, body)
        if weight.pixels <= most_pixels:
            yield body
            return
        try:
            async with asyncio.timeout(deadline.left):
                await self._large.acquire()
        except TimeoutError:
            raise deadline.exceeded() from None
        try:
            yield body
        finally:
            self._large.release()

    async def encode(
        self,
        deadline: Deadline,
        format: str,
        work: Callable[..., bytes],
        *arguments: object,
        weight: codecs.Weight = codecs.LIGHT,
    ) -> bytes:
        """Returns what `work` returns: a response body in `format`, encoded in a codec thread.

        `weight`: light work runs in the thread itself, not in its process. Raises Problem as `work` and `decode` do.
        """
        return await self._in_time(deadline, self._encode, deadline, format, weight, work, arguments)

    def encode_inline(self, format: str, work: Callable[..., bytes], *arguments: object) -> bytes:
        """Like `encode`, on the calling thread: for work that takes less time than handing it over."""
        start = time.perf_counter()
        body = work(*arguments)
        self._record("encode", format, start)
        return body

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Runs `work` in a codec thread, in the caller's context: with its request's ids and span.

        A caller that is cancelled before a thread is free leaves nothing behind.
        """
        await self._free.acquire()
        try:
            running = self._threads.submit(contextvars.copy_context().run, work, *arguments)
        except BaseException:  # for example, the system cannot start a thread
            self._free.release()
            raise
        loop = asyncio.get_running_loop()

        def ended(_: Future[Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._free.release)

        running.add_done_callback(ended)  # the thread itself: a cancelled caller does not wait for it
        try:
            return await asyncio.wrap_future(running)
        finally:
            del running  # it may hold an exception whose traceback holds this frame

    def run_in_process(self, seconds: float, work: Callable[..., T], *arguments: object) -> T:
        """Runs `work` in the process of the calling codec thread. Raises CodecProcessError."""
        process: CodecProcess | None = getattr(self._of_this_thread, "process", None)
        if process is None or not process.alive:
            process = self._of_this_thread.process = self._start(process)
        return process.run(seconds, work, *arguments)

    def close(self) -> None:
        """Ends all work that still runs: its requests have had their responses."""
        with self._lock:
            self._closed = True
            for process in self._processes:
                process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.close()

    async def _in_time(self, deadline: Deadline, work: Callable[..., T], *arguments: object) -> T:
        """Runs `work` in a codec thread. Raises Problem 504 past the deadline; `work` never starts after it."""
        try:
            async with asyncio.timeout(deadline.left):
                return await self.run(work, *arguments)
        except TimeoutError:
            raise deadline.exceeded() from None

    def _decode(self, chunks: Iterable[bytes], spec: preprocess.InputSpec, deadline: Deadline) -> Upload:
        start, body = time.perf_counter(), b"".join(chunks)
        weight = codecs.Weight.of_file(body)
        prepared = self._run_light_or_apart(weight, deadline, preprocess.prepare, body, spec)
        self._record("decode", prepared.format, start)
        return Upload(body, weight, prepared)

    def _encode(
        self,
        deadline: Deadline,
        format: str,
        weight: codecs.Weight,
        work: Callable[..., bytes],
        arguments: tuple[object, ...],
    ) -> bytes:
        start = time.perf_counter()
        body = self._run_light_or_apart(weight, deadline, work, *arguments)
        self._record("encode", format, start)
        return body

    def _run_light_or_apart(
        self, weight: codecs.Weight, deadline: Deadline, work: Callable[..., T], *arguments: object
    ) -> T:
        """Runs light work in this codec thread, other work in its process, as soon as there are pixels left for it.

        Raises Problem 500 or 504 if the process ends.
        """
        if weight.light:
            return work(*arguments)
        try:
            with self._budget.take(weight.pixels, deadline.left):
                return self.run_in_process(deadline.left, work, *arguments)
        except TimeoutError:
            raise deadline.exceeded() from None
        except CodecProcessError as error:
            if not deadline.left:
                raise deadline.exceeded() from error
            log.error("a codec process %s", error)
            reason = "the process that worked on the image ended; other requests are not affected"
            raise Problem(500, "codec-failed", reason) from error

    def _record(self, stage: Literal["decode", "encode"], format: str, start: float) -> None:
        """Records work that began at `start` (perf_counter) and ends now, as a metric and as a span of the request."""
        seconds = time.perf_counter() - start
        self._metrics.codec_ends(stage, format, seconds)
        tracing.record_stage(stage, seconds, {"gan.format": format})

    def _start(self, ended: CodecProcess | None) -> CodecProcess:
        with self._lock:
            if ended is not None:
                ended.close()
                self._processes.discard(ended)  # already absent when a first attempt to replace it failed
            process = CodecProcess()
            self._processes.add(process)
            if self._closed:
                process.kill()
            return process
