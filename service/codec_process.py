"""Large pictures are decoded and encoded in processes of their own, one for each codec thread.

Pillow holds Python's lock while it takes memory for a picture, lays one on white and copies the pixels of a WebP: up to
20 ms a megapixel, for which the event loop would stand still.
"""

import contextlib
import os
import pickle
import select
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar, cast

T = TypeVar("T")

_HEAD = struct.Struct("<QQ")
"""Bytes of what is pickled, and of how many buffers beside it."""
_LENGTH = struct.Struct("<Q")


class CodecProcessError(Exception):
    """The process ended in the middle of its work, or did not end it in time and was ended."""


class CodecProcesses:
    """Owns them. A thread's process starts when the thread first asks, and again after it has ended."""

    def __init__(self) -> None:
        self._of_this_thread = threading.local()
        self._all: list[_Process] = []

    def run(self, seconds: float, work: Callable[..., T], *arguments: object) -> T:
        """What `work`, a function of a module, returns or raises over there; bytes and arrays travel uncopied.

        Raises CodecProcessError when there is no answer within `seconds`, and the process is ended.
        """
        process: _Process | None = getattr(self._of_this_thread, "process", None)
        if process is None or not process.alive:
            process = self._of_this_thread.process = _Process()
            self._all = [*(other for other in self._all if other.alive), process]
        result: T = process.run(seconds, work, *arguments)
        return result

    def close(self) -> None:
        """Ends them; no thread may use them any more."""
        for process in self._all:
            process.end()


class _Process:
    """A child that works until its standard input ends, as it does when this process dies."""

    def __init__(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).resolve().parent.parent,  # where -m finds this package
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C is for the service, which lets what it has accepted end
        )
        self._jobs, self._answers = cast(IO[bytes], self._child.stdin), cast(IO[bytes], self._child.stdout)

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    def run(self, seconds: float, work: Callable[..., T], *arguments: object) -> T:
        until = time.monotonic() + seconds
        try:
            _send(self._jobs, (work, arguments))
            if not select.select([self._answers], [], [], max(0.0, until - time.monotonic()))[0]:
                raise CodecProcessError(f"was not done within {seconds:.1f} s")
            raised, result = _receive(self._answers)
        except (EOFError, OSError) as error:
            raise CodecProcessError(f"ended with status {self._child.wait()}") from error
        except BaseException:
            self.end(at_once=True)  # what it still had to say must not answer the next request
            raise
        if raised is not None:
            raise raised
        return result

    def end(self, at_once: bool = False) -> None:
        if at_once:
            self._child.kill()
        with contextlib.suppress(BrokenPipeError):  # what it did not take in
            self._jobs.close()
        self._answers.close()
        self._child.wait()


def _send(pipe: IO[bytes], message: object) -> None:
    """Large bytes and arrays go beside the pickle: to copy them into it would hold the lock."""
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(_wrapped(message), protocol=5, buffer_callback=buffers.append)
    raws = [buffer.raw() for buffer in buffers]
    lengths = b"".join(_LENGTH.pack(len(raw)) for raw in raws)
    pipe.write(_HEAD.pack(len(pickled), len(raws)) + lengths + pickled)
    for raw in raws:
        pipe.write(raw)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Any:  # noqa: ANN401 - what was sent
    """Raises EOFError at the end of the pipe."""
    length, count = _HEAD.unpack(_exactly(pipe, _HEAD.size))
    lengths = [_LENGTH.unpack(_exactly(pipe, _LENGTH.size))[0] for _ in range(count)]
    pickled = _exactly(pipe, length)
    return pickle.loads(pickled, buffers=[_exactly(pipe, size) for size in lengths])  # noqa: S301 - our own child


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    data = pipe.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _wrapped(value: object) -> object:
    """`value` with bytes as pickle takes them out of band; what comes out is bytes again."""
    if isinstance(value, tuple):
        return tuple(map(_wrapped, value))
    return pickle.PickleBuffer(value) if isinstance(value, bytes) else value


def serve() -> None:
    """The child: works until there is nothing more to read."""
    work_in, answers_out = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a codec prints is no answer
    while True:
        try:
            work, arguments = _receive(work_in)
        except EOFError:
            return
        _send(answers_out, _tried(work, arguments))


def _tried(work: Callable[..., object], arguments: tuple[object, ...]) -> tuple[Exception | None, object]:
    try:
        return None, work(*arguments)
    except Exception as error:  # whatever it is concerns the asker
        error.add_note("".join(traceback.format_exception(error)))
        return error, None


if __name__ == "__main__":
    serve()
