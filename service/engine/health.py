"""Whether a model works. When batch after batch fails, or one never ends, the fault is not the requests'."""

import asyncio
import contextlib
import contextvars
import re
from collections.abc import Awaitable, Callable, Iterator

from service.telemetry.metrics import FailureReason

FAILURES_IN_A_ROW = 5
"""Batches without any success after which a model counts as failing."""
HANG_SECONDS = 60.0
"""Run time after which a model counts as failing: no run takes this long unless its device hangs."""
PROBE_SECONDS = 5.0
"""Time between two probes of a failing model. Readiness keeps requests away, so none of them would find it working."""

_OUT_OF_MEMORY = re.compile(
    r"out of memory|failed to allocate memory|bad[ _]alloc|_ALLOC_FAILED|MemoryAllocation"
    r"|available memory of \d+ is smaller than requested",
    re.IGNORECASE,
)
_DEVICE_LOST = re.compile(
    # CUDA's codes after which nothing runs in the process any more: driver unloading, no device, uncorrectable memory
    # or link errors, illegal address, instruction or stack, time-out, assertion, launch failure, system trouble
    r"CUDA (?:failure|error) (?:4|46|100|101|214|220|226|700|702|709|710|71[4-9]|802|999)\b"
    r"|illegal memory access|unspecified launch failure|uncorrectable ECC|device-side assert|driver shutting down"
    r"|no CUDA-capable device|devices? (?:is|are) (?:busy|lost|removed)|fallen off the bus|device (?:lost|removed)",
    re.IGNORECASE,
)


class Health:
    """Counts a model's failures, and probes the model while it is failing."""

    def __init__(self, probe: Callable[[], Awaitable[object]], clock: Callable[[], float]) -> None:
        """`probe` runs the model. Its outcome is recorded like any batch's; what it raises is ignored."""
        self._probe, self._clock = probe, clock
        self._failures = 0
        self._failing_since: float | None = None
        self._runs: dict[int, float] = {}
        self._prober: asyncio.Task[None] | None = None

    @property
    def failing_seconds(self) -> float | None:
        """How long the model has been failing or hanging; None when it works."""
        hangs = [started + HANG_SECONDS for started in self._runs.values() if self._clock() - started >= HANG_SECONDS]
        since = min(hangs if self._failing_since is None else [*hangs, self._failing_since], default=None)
        return None if since is None else self._clock() - since

    @contextlib.contextmanager
    def running(self, batch: object) -> Iterator[None]:
        """Watches a run of `batch`, which may hang, inside the block."""
        self._runs[id(batch)] = self._clock()
        try:
            yield
        finally:
            del self._runs[id(batch)]

    def record(self, succeeded: bool) -> None:
        """Records that a batch has ended, and whether any of its requests succeeded."""
        self._failures = 0 if succeeded else self._failures + 1
        if self._failures < FAILURES_IN_A_ROW:
            self._failing_since = None
        elif self._failing_since is None:
            self._failing_since = self._clock()
            if self._prober is None or self._prober.done():
                probing = self._probe_until_it_works()
                self._prober = asyncio.get_running_loop().create_task(probing, context=contextvars.Context())

    def stop(self) -> None:
        """Ends the probing."""
        if self._prober:
            self._prober.cancel()

    async def _probe_until_it_works(self) -> None:
        while self._failing_since is not None:
            await asyncio.sleep(PROBE_SECONDS)
            with contextlib.suppress(Exception):
                await self._probe()


def failure_reason(error: BaseException) -> FailureReason:
    """Classifies a model's failure by the text of ONNX Runtime's exception, which has no codes for device errors.

    Memory is tried first: a failed allocation often has a CUDA code too, and the next one may succeed.
    """
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(text):
        return "out_of_memory"
    return "device_lost" if _DEVICE_LOST.search(text) else "other"
