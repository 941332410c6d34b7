"""Tries a version in a process of its own before the service loads it.

A model file may crash ONNX Runtime, take all memory or never end. Then the process ends, and the service goes on. It
has a low priority: requests have the cores first.
"""

import asyncio
import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from service.card import CardError, read_card
from service.model import refuse_weights_outside
from service.runtime.cpu import CpuSession
from service.runtime.devices import first_line

TRIAL_SECONDS = 300.0
"""A trial that takes longer is ended."""
TRIAL_CPU_SECONDS = 30
"""Processor time of a trial, of all its threads."""
TRIAL_BYTES = 4 * 2**30
"""Memory that a trial may allocate."""
NICENESS = 10
"""Requests have the cores first, and yet a trial ends in seconds where they take all."""
PR_SET_PDEATHSIG = 1
"""Linux's option of prctl that has a signal sent to a process when the thread that started it ends."""

_ROOT = str(Path(__file__).resolve().parents[2])
_START = f"import sys; sys.path.append({_ROOT!r}); from {__name__} import main; main(sys.argv[1], int(sys.argv[2]))"


async def run(folder: Path) -> None:
    """Loads the version in `folder` on the CPU and runs it once, in a process of its own.

    Raises CardError with the reason when it does not work. When the caller is cancelled, the process ends.
    """
    # -P: a file in the working directory must not be imported in place of a package
    command = [sys.executable, "-P", "-c", _START, str(folder), str(os.getpid())]
    try:  # in a thread: starting a process takes milliseconds
        process = await asyncio.to_thread(
            subprocess.Popen,
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the service
        )
    except OSError as error:
        raise CardError(f"{folder} cannot be tried: no process can be started ({error})") from error
    try:
        async with asyncio.timeout(TRIAL_SECONDS):
            said, _ = await asyncio.to_thread(process.communicate)
    except TimeoutError:
        raise CardError(f"{folder} does not run: its trial took over {TRIAL_SECONDS:g} s") from None
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)
    if process.returncode:
        reason = said.decode(errors="replace").strip()
        raise CardError(reason or f"{folder} does not run: {_ending(process.returncode)}")


def main(path: str, service: int) -> None:
    """The process: exits with status 1 and the reason on its standard output when the version does not work.

    `service`: the process id of the service.
    """
    _end_with(service)
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_DATA, (TRIAL_BYTES, TRIAL_BYTES))
    resource.setrlimit(
        resource.RLIMIT_CPU, (TRIAL_CPU_SECONDS, TRIAL_CPU_SECONDS + 1)
    )  # the first has a signal of its own
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")  # where memory runs out, the system ends this process and not the service
    folder = Path(path)
    try:
        card = read_card(folder)
        refuse_weights_outside(folder, card)
        CpuSession(folder, card, threads=1, max_items=1, images=1)
    except CardError as error:
        sys.exit(_said(str(error)))
    except Exception as error:  # ONNX Runtime raises many kinds
        sys.exit(_said(f"{folder} does not run as its card says: {first_line(error)}"))
    os._exit(0)  # nothing is left to do, and ending ONNX Runtime takes time


def _end_with(service: int) -> None:
    """Has the system end this process with the service, also where that is killed and cannot do it.

    The trial has a session of its own and would go on for seconds, with up to TRIAL_BYTES that a new service needs.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != service:  # it ended before the call
        os._exit(1)


def _ending(status: int) -> str:
    """Returns why a trial ended that said nothing, and what to do. `status`: as of `subprocess`."""
    match -status:
        case signal.SIGKILL:
            return "its trial was killed, as the system does where memory runs out: give the service more memory"
        case signal.SIGXCPU:
            return f"its trial took over {TRIAL_CPU_SECONDS} s of processor time: export a smaller model"
        case signal.SIGSEGV | signal.SIGABRT | signal.SIGBUS | signal.SIGILL | signal.SIGFPE:
            return f"it crashed ONNX Runtime ({signal.Signals(-status).name}): export the model again with gan-export"
        case _:
            return f"its trial ended with status {status}: load it again, or export the model again with gan-export"


def _said(reason: str) -> int:
    print(reason, flush=True)
    return 1
