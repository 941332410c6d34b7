"""Tries a version in a process of its own before the service loads it.

A model file may crash ONNX Runtime, take all memory or never end. Then the process ends, and the service goes on. It
has a low priority: requests have the cores first.
"""

import asyncio
import contextlib
import os
import resource
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

_ROOT = str(Path(__file__).resolve().parents[2])
_START = f"import sys; sys.path.append({_ROOT!r}); from {__name__} import main; main(sys.argv[1])"


async def run(folder: Path) -> None:
    """Loads the version in `folder` on the CPU and runs it once, in a process of its own.

    Raises CardError with the reason when it does not work. When the caller is cancelled, the process ends.
    """
    command = [sys.executable, "-c", _START, str(folder)]
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
        raise CardError(reason or f"{folder} does not run: its trial ended with status {process.returncode}")


def main(path: str) -> None:
    """The process: exits with status 1 and the reason on its standard output when the version does not work."""
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_DATA, (TRIAL_BYTES, TRIAL_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (TRIAL_CPU_SECONDS, TRIAL_CPU_SECONDS))
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


def _said(reason: str) -> int:
    print(reason, flush=True)
    return 1
