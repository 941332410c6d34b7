"""A process that decodes and encodes what would be too much for a thread of the service.

Pillow holds Python's lock while it takes memory for a picture, lays one on white and copies the pixels of a WebP: up to
20 ms a megapixel, for which the event loop would stand still. And a thread cannot be ended when a picture was made to
take minutes. It is no sandbox: a picture that takes over the codec has all that the service has.
"""

import contextlib
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar, cast

LEAST_SECONDS = 5.0
"""Time that the process has for a picture whatever its deadline."""

_START = (
    f"import sys; sys.path.append({str(Path(__file__).resolve().parents[2])!r}); import {__name__} as it; it.serve()"
)

T = TypeVar("T")

_HEAD = struct.Struct("<QQ")
"""Bytes of what is pickled, and of how many buffers beside it."""
_LENGTH = struct.Struct("<Q")


class CodecProcessError(Exception):
    """The process could not be started, ended in the middle of its work, or had to be ended."""


class CodecProcess:
    """A child that works until its standard input ends, as it does when this process dies."""

    def __init__(self) -> None:
        """Raises CodecProcessError when the system has no process to give."""
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-c", _START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,  # Ctrl-C is for the service, which lets what it has accepted end
            )
        except OSError as error:
            raise CodecProcessError(f"cannot be started: {error}") from error
        self._jobs, self._answers = cast(IO[bytes], self._child.stdin), cast(IO[bytes], self._child.stdout)

    @property
    def alive(self) -> bool:
        """Whether it takes more work."""
        return self._child.poll() is None

    def run(self, seconds: float, work: Callable[..., T], *arguments: object) -> T:
        """What `work`, a function of a module, returns or raises over there; bytes and arrays travel uncopied.

        Raises CodecProcessError when there is no answer within `seconds`, of which it always has LEAST_SECONDS: one
        that has to be ended starts anew, which others would wait for.
        """
        seconds = max(seconds, LEAST_SECONDS)
        until = time.monotonic() + seconds
        late = threading.Timer(seconds, self._child.kill)  # whatever it does not do: read, work or answer
        late.start()
        try:
            _send(self._jobs, (work, arguments))
            raised, result = _receive(self._answers)
        except (EOFError, OSError) as error:
            self.kill()
            status = self._child.wait()
            reason = f"ended with status {status}" if time.monotonic() < until else f"took over {seconds:.1f} s"
            raise CodecProcessError(reason) from error
        except BaseException:
            self.kill()  # what it still had to say must not answer the next request
            raise
        finally:
            late.cancel()
        if raised is not None:
            try:
                raise raised
            finally:
                del raised  # else its traceback held this frame and the picture, and this frame the traceback
        return result

    def kill(self) -> None:
        """Ends it at once; a thread that waits for it gets a CodecProcessError."""
        self._child.kill()

    def close(self) -> None:
        """Ends it, and gives its pipes back; no thread may use it any more."""
        self.kill()
        self._child.wait()
        for pipe in (self._jobs, self._answers):
            with contextlib.suppress(BrokenPipeError):  # what it did not take in
                pipe.close()


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
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a supervisor's is for the service; this ends after its last answer
    warnings.simplefilter("ignore")  # a picture's oddities are not for the log
    jobs, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a codec prints is no answer
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            _send(answers, _tried(*_receive(jobs)))


def _tried(work: Callable[..., object], arguments: tuple[object, ...]) -> tuple[Exception | None, object]:
    try:
        return None, work(*arguments)
    except Exception as error:  # whatever it is concerns the asker
        error.add_note("".join(traceback.format_exception(error)))
        return error, None
