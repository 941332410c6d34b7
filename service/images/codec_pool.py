"""Threads that decode and encode images, and processes for work that would hold Python's lock, or a core, too long.

Light work and heavy work have lanes of their own, so that heavy images never hold all threads: a light one is served
beside them.
"""

import asyncio
import contextlib
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar

from service.deadline import Deadline
from service.errors import Problem
from service.images import codecs, preprocess
from service.images.codec_process import CodecCostError, CodecProcess, CodecProcessError, within
from service.images.lane import Lane
from service.images.pixel_budget import PixelBudget
from service.telemetry import stages, tracing
from service.telemetry.metrics import CodecRefusal, Metrics

log = logging.getLogger("service")

T = TypeVar("T")


MAX_RETRY_SECONDS = 60
"""Longest time that a refused client is told to wait."""
REFUSALS: dict[str, CodecRefusal] = {"codecs-busy": "busy", "image-too-costly": "costly"}
"""Kinds of problems that protect other requests, and their names in the metrics."""


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
        """`count`: light work, and heavy work, that runs at the same time. `pixels`: of all images in processes."""
        self._metrics, self._budget = metrics, PixelBudget(pixels)
        self._light, self._heavy = Lane("light", count, metrics), Lane("heavy", count, metrics)
        self._large = asyncio.Lock()
        self._of_this_thread = threading.local()
        self._lock, self._processes, self._closed = threading.Lock(), set[CodecProcess](), False

    async def decode(self, chunks: Iterable[bytes], spec: preprocess.InputSpec, deadline: Deadline) -> Upload:
        """Decodes an upload and resizes it for its model.

        Raises Problem as `preprocess.prepare` does, 503 when too many heavy images wait, 504 past the deadline, 422
        when decoding takes too much processor time, 500 when the codec process ends.
        """
        try:
            upload = await self._in_time(deadline, self._light, self._decode_light, chunks, spec)
            if isinstance(upload, Upload):
                return upload
            self.check_heavy_room(deadline)
            return await self._in_time(deadline, self._heavy, self._decode_heavy, *upload, spec, deadline)
        except Problem as problem:
            if problem.kind in REFUSALS:
                self._metrics.codec_refusals.labels(REFUSALS[problem.kind]).inc()
            raise

    @contextlib.asynccontextmanager
    async def turn(self, chunks: Iterable[bytes], most_pixels: int, deadline: Deadline) -> AsyncIterator[bytes]:
        """Gives the joined body of an upload. Uploads of more than `most_pixels` are in such blocks one at a time.

        This bounds the memory of images that are kept at full size. Raises Problem 504 past the deadline, and as
        `Weight.of_file` does.
        """
        body = await self._in_time(deadline, self._light, b"".join, chunks)
        weight = await self._in_time(deadline, self._light, codecs.Weight.of_file, body, sys.maxsize)
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
        lane = self._light if weight.light else self._heavy
        return await self._in_time(deadline, lane, self._encode, deadline, format, weight, work, arguments)

    def encode_inline(self, format: str, work: Callable[..., bytes], *arguments: object) -> bytes:
        """Like `encode`, on the calling thread: for work that takes less time than handing it over."""
        start = time.perf_counter()
        body = work(*arguments)
        self._record("encode", format, start)
        return body

    async def run_in_time(
        self, deadline: Deadline, weight: codecs.Weight, work: Callable[..., T], *arguments: object
    ) -> T:
        """Runs other work than an image's like `encode`, without a place in the metrics of formats."""
        if weight.light:
            return await self._in_time(deadline, self._light, work, *arguments)
        return await self._in_time(deadline, self._heavy, self._run_apart, weight, deadline, work, *arguments)

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """Runs light work in a codec thread, as `Lane.run` does."""
        return await self._light.run(work, *arguments)

    def check_heavy_room(self, deadline: Deadline) -> None:
        """Raises Problem 503 when heavy work that comes now would wait too long for a thread."""
        if (seconds := self._heavy.full_for(deadline.left)) is not None:
            raise _busy(seconds)

    def heavy_full_for(self, seconds: float) -> int | None:
        """When to send heavy images again, in seconds, if those with `seconds` to live are refused; else None."""
        return self._heavy.full_for(seconds)

    def light_full_for(self, seconds: float) -> int | None:
        """The same for light images."""
        return self._light.full_for(seconds)

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
        for lane in (self._light, self._heavy):
            lane.close()
        for process in self._processes:
            process.close()

    async def _in_time(self, deadline: Deadline, lane: Lane, work: Callable[..., T], *arguments: object) -> T:
        """Runs `work` in a thread of `lane`. Raises Problem 504 past the deadline; `work` never starts after it."""
        try:
            async with asyncio.timeout(deadline.left):
                return await lane.run(work, *arguments)
        except TimeoutError:
            raise deadline.exceeded() from None

    def _decode_light(
        self, chunks: Iterable[bytes], spec: preprocess.InputSpec
    ) -> Upload | tuple[bytes, codecs.Weight]:
        """Decodes a light upload. Returns the file and the weight of a heavy one."""
        start, body = time.perf_counter(), b"".join(chunks)
        weight = codecs.Weight.of_file(body, spec.image_pixels)
        if not weight.light:
            return body, weight
        prepared = preprocess.prepare(body, spec)
        self._record("decode", prepared.format, start)
        return Upload(body, weight, prepared)

    def _decode_heavy(
        self, body: bytes, weight: codecs.Weight, spec: preprocess.InputSpec, deadline: Deadline
    ) -> Upload:
        start = time.perf_counter()
        prepared = self._run_apart(weight, deadline, preprocess.prepare, body, spec)
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
        body = work(*arguments) if weight.light else self._run_apart(weight, deadline, work, *arguments)
        self._record("encode", format, start)
        return body

    def _run_apart(self, weight: codecs.Weight, deadline: Deadline, work: Callable[..., T], *arguments: object) -> T:
        """Runs heavy work in the process of this thread, as soon as there are pixels left for it.

        Raises Problem 422, 500 or 504 if the process ends.
        """
        try:
            with self._budget.take(weight.pixels, deadline.left):
                return self.run_in_process(deadline.left, within, weight.cpu_seconds, work, *arguments)
        except TimeoutError:
            raise deadline.exceeded() from None
        except CodecCostError as error:
            raise codecs.too_costly(f"the image took more than {weight.cpu_seconds} s of processor time") from error
        except CodecProcessError as error:
            if not deadline.left:
                raise deadline.exceeded() from error
            log.error("a codec process %s", error)
            reason = "the process that worked on the image ended; other requests are not affected"
            raise Problem(500, "codec-failed", reason) from error

    def _record(self, stage: Literal["decode", "encode"], format: str, start: float) -> None:
        """Records work that began at `start` (perf_counter) and ends now, as metric, stage and span of the request."""
        seconds = time.perf_counter() - start
        self._metrics.codec_ends(stage, format, seconds)
        if (spent := stages.current.get()) is not None:
            setattr(spent, stage, getattr(spent, stage) + seconds)
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


def _busy(seconds: int) -> Problem:
    reason = f"too many large images wait to be decoded: try again in {seconds} s, or send a smaller image"
    return Problem(503, "codecs-busy", reason, headers={"Retry-After": str(min(seconds, MAX_RETRY_SECONDS))})
