"""A process that decodes and encodes images which are too large for a thread of the service.

Pillow holds Python's lock while it allocates an image, composites it over white or copies the pixels of a WebP: up to
20 ms per megapixel, during which the event loop stands still. A thread also cannot be ended when an image is made to
take minutes. The process is no sandbox: an image that exploits the codec has the service's rights.
"""

import contextlib
import math
import os
import pickle
import resource
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
"""Least time that the process has for an image, whatever the request's deadline."""
NICENESS = 5
"""Where cores are short, the process gets a third of what the service gets: light images are served beside heavy ones.
"""

_ROOT = str(Path(__file__).resolve().parents[2])
_START = f"import sys; sys.path.append({_ROOT!r}); import {__name__} as module; module.serve()"

T = TypeVar("T")

_HEADER = struct.Struct("<QQ")
"""Header of a message: bytes of the pickle, and number of buffers after it."""
_LENGTH = struct.Struct("<Q")
"""Length of a buffer, in bytes."""


class CodecProcessError(Exception):
    """The process could not be started, ended during its work, or took too long and was ended."""


class CodecCostError(CodecProcessError):
    """The work took too much processor time, and the process was ended."""


class CodecProcess:
    """A child process that works until its standard input ends, which also happens when this process dies."""

    def __init__(self) -> None:
        """Raises CodecProcessError when the system cannot start a process."""
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-c", _START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,  # Ctrl-C is for the service, which finishes what it has accepted
            )
        except OSError as error:
            raise CodecProcessError(f"cannot be started: {error}") from error
        self._jobs, self._results = cast(IO[bytes], self._child.stdin), cast(IO[bytes], self._child.stdout)

    @property
    def alive(self) -> bool:
        """Whether the process accepts more work."""
        return self._child.poll() is None

    def run(self, seconds: float, work: Callable[..., T], *arguments: object) -> T:
        """Runs `work`, a module's function, in the process; returns or raises what it does. Buffers are not copied.

        Raises CodecProcessError when there is no result within `seconds`, but at least LEAST_SECONDS: a process that
        is ended must be started again, and other requests wait for that. Raises CodecCostError when work that
        `within` limits takes longer.
        """
        seconds = max(seconds, LEAST_SECONDS)
        until = time.monotonic() + seconds
        late = threading.Timer(seconds, self._child.kill)  # whether it hangs reading, working or writing
        late.start()
        try:
            _send(self._jobs, (work, arguments))
            raised, result = _receive(self._results)
        except (EOFError, OSError) as error:
            self.kill()
            status = self._child.wait()
            if status == -signal.SIGXCPU:
                raise CodecCostError("took too much processor time") from error
            reason = f"ended with status {status}" if time.monotonic() < until else f"took over {seconds:.1f} s"
            raise CodecProcessError(reason) from error
        except BaseException:
            self.kill()  # its result must not become that of the next request
            raise
        finally:
            late.cancel()
        if raised is not None:
            try:
                raise raised
            finally:
                del raised  # its traceback holds this frame and the image, and this frame the traceback
        return result

    def kill(self) -> None:
        """Ends the process at once. A thread in `run` gets a CodecProcessError."""
        self._child.kill()

    def close(self) -> None:
        """Ends the process and closes its pipes. No thread may use it afterwards."""
        self.kill()
        self._child.wait()
        for pipe in (self._jobs, self._results):
            with contextlib.suppress(BrokenPipeError):  # of input that it did not read
                pipe.close()


def _send(pipe: IO[bytes], message: object) -> None:
    """Sends a message. Bytes and arrays follow the pickle: copying them into it would hold Python's lock."""
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(_wrapped(message), protocol=5, buffer_callback=buffers.append)
    raws = [buffer.raw() for buffer in buffers]
    lengths = b"".join(_LENGTH.pack(len(raw)) for raw in raws)
    pipe.write(_HEADER.pack(len(pickled), len(raws)) + lengths + pickled)
    for raw in raws:
        pipe.write(raw)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Any:  # noqa: ANN401 - any message
    """Receives a message. Raises EOFError at the end of the pipe."""
    length, count = _HEADER.unpack(_exactly(pipe, _HEADER.size))
    lengths = [_LENGTH.unpack(_exactly(pipe, _LENGTH.size))[0] for _ in range(count)]
    pickled = _exactly(pipe, length)
    return pickle.loads(pickled, buffers=[_exactly(pipe, size) for size in lengths])  # noqa: S301 - from our own child


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    data = pipe.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _wrapped(value: object) -> object:
    """Wraps bytes so that pickle keeps them out of band; the receiver gets bytes."""
    if isinstance(value, tuple):
        return tuple(map(_wrapped, value))
    return pickle.PickleBuffer(value) if isinstance(value, bytes) else value


def serve() -> None:
    """The child's main function: works until its standard input ends."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # SIGTERM is for the service: the child ends with its input
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # one that is ended leaves no dump
    warnings.simplefilter("ignore")  # warnings about an image are not for the log
    jobs, results = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a codec prints is no result
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)  # libtiff's complaints about an image are not for the log either
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            _send(results, _try(*_receive(jobs)))


def within(cpu_seconds: int, work: Callable[..., T], *arguments: object) -> T:
    """Runs `work` in a child, which the system ends after `cpu_seconds` of processor time, and up to a second more.

    The system counts whole seconds, of all threads, whatever else the machine does.
    """
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    limit = math.ceil(time.process_time()) + cpu_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))
    return work(*arguments)


def _try(work: Callable[..., object], arguments: tuple[object, ...]) -> tuple[Exception | None, object]:
    try:
        return None, work(*arguments)
    except Exception as error:  # the caller raises it
        error.add_note("".join(traceback.format_exception(error)))
        return error, None
