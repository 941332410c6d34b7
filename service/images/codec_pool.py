"""The threads that decode and encode, each with a process for what is too much for it."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from service.images.codec_process import CodecProcess

T = TypeVar("T")


class CodecThreads:
    """Owns them. A thread's process starts when it is first needed, and again after it has ended."""

    def __init__(self, count: int) -> None:
        """`count`: codecs that run at once."""
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="codec")
        self._free = asyncio.Semaphore(count)
        self._of_this_thread = threading.local()
        self._lock, self._processes, self._closed = threading.Lock(), set[CodecProcess](), False

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """What `work` returns or raises in a codec thread, in the caller's context: its request's ids and its span.

        Who is cancelled while all threads are taken leaves nothing behind.
        """
        await self._free.acquire()
        try:
            running = self._threads.submit(contextvars.copy_context().run, work, *arguments)
        except BaseException:  # such as that the system has no thread to give
            self._free.release()
            raise
        loop = asyncio.get_running_loop()

        def ended(_: Future[Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended before
                loop.call_soon_threadsafe(self._free.release)

        running.add_done_callback(ended)  # of the thread itself, which a cancelled caller leaves behind
        try:
            return await asyncio.wrap_future(running)
        finally:
            del running  # else it held what was raised, whose traceback holds this frame

    def apart(self, seconds: float, work: Callable[..., T], *arguments: object) -> T:
        """What `work` returns or raises in the process of this codec thread. Raises CodecProcessError."""
        process: CodecProcess | None = getattr(self._of_this_thread, "process", None)
        if process is None or not process.alive:
            process = self._of_this_thread.process = self._start(process)
        return process.run(seconds, work, *arguments)

    def _start(self, ended: CodecProcess | None) -> CodecProcess:
        with self._lock:
            if ended is not None:
                ended.close()
                self._processes.discard(ended)  # it is gone already when its successor could not be started
            process = CodecProcess()
            self._processes.add(process)
            if self._closed:
                process.kill()
            return process

    def close(self) -> None:
        """Ends what still runs: whoever asked for it has been answered."""
        with self._lock:
            self._closed = True
            for process in self._processes:
                process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.close()
