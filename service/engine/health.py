"""Whether a model works: when batch after batch fails, or one never ends, it is no longer the requests' fault."""

import asyncio
import contextlib
import contextvars
from collections.abc import Awaitable, Callable, Iterator

FAILURES_IN_A_ROW = 5
"""Batches in which nothing succeeded, after which a model counts as broken."""
HANG_SECONDS = 60.0
"""Of a run, after which its model counts as broken: longer than any takes that is not stuck on its device."""
PROBE_SECONDS = 5.0
"""Between two attempts of a broken model: readiness keeps requests away, so that none of them would find it well."""


class Health:
    """Counts a model's failures, and tries it now and then while it is broken."""

    def __init__(self, probe: Callable[[], Awaitable[object]], clock: Callable[[], float]) -> None:
        """`probe` runs the model, whose outcome is `note`d like any other; what it raises says nothing more."""
        self._probe, self._clock = probe, clock
        self._failures = 0
        self._failing_since: float | None = None
        self._runs: dict[int, float] = {}
        self._prober: asyncio.Task[None] | None = None

    @property
    def failing_seconds(self) -> float | None:
        """For how long the model has seemed broken, as after a lost GPU; None when it does not."""
        hangs = [started + HANG_SECONDS for started in self._runs.values() if self._clock() - started >= HANG_SECONDS]
        since = min(hangs if self._failing_since is None else [*hangs, self._failing_since], default=None)
        return None if since is None else self._clock() - since

    @contextlib.contextmanager
    def running(self, batch: object) -> Iterator[None]:
        """While `batch` runs, which may never end."""
        self._runs[id(batch)] = self._clock()
        try:
            yield
        finally:
            del self._runs[id(batch)]

    def note(self, succeeded: bool) -> None:
        """A batch has ended, in which something succeeded or nothing did."""
        self._failures = 0 if succeeded else self._failures + 1
        if self._failures < FAILURES_IN_A_ROW:
            self._failing_since = None
        elif self._failing_since is None:
            self._failing_since = self._clock()
            if self._prober is None or self._prober.done():
                self._prober = asyncio.get_running_loop().create_task(self._try_again(), context=contextvars.Context())

    def stop(self) -> None:
        """No more attempts."""
        if self._prober:
            self._prober.cancel()

    async def _try_again(self) -> None:
        while self._failing_since is not None:
            await asyncio.sleep(PROBE_SECONDS)
            with contextlib.suppress(Exception):
                await self._probe()
