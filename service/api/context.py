"""What the routes share, owned by the application."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from fastapi import Request
from numpy.typing import NDArray

from service.api.params import Deadline
from service.engine.batcher import DeadlineError, InferenceError, QueueFullError
from service.errors import Problem
from service.images.codec_pool import CodecThreads
from service.images.codec_process import CodecProcessError
from service.registry import Model, Registry
from service.settings import Settings
from service.telemetry.metrics import Metrics

log = logging.getLogger("service")

T = TypeVar("T")


@dataclass(frozen=True)
class State:
    """Settings, metrics, models, and the threads that decode and encode."""

    settings: Settings
    metrics: Metrics
    registry: Registry
    codecs: CodecThreads

    async def in_codec_thread(self, deadline: Deadline, work: Callable[..., T], *arguments: object) -> T:
        """Runs blocking codec work off the event loop.

        Raises Problem 504 when time is up; work that still waits for a thread is then never done.
        """
        try:
            async with asyncio.timeout(deadline.left):
                return await self.codecs.run(work, *arguments)
        except TimeoutError:
            raise _late(deadline) from None

    def codec(self, light: bool, deadline: Deadline, work: Callable[..., T], *arguments: object) -> T:
        """In a codec thread: what `work` returns or raises, here when it is light, else in the thread's process.

        Raises Problem 500 when the process does not survive it, or 504.
        """
        if light:
            return work(*arguments)
        try:
            return self.codecs.apart(deadline.left, work, *arguments)
        except CodecProcessError as error:
            if not deadline.left:
                raise _late(deadline) from error
            log.error("a codec process %s", error)
            reason = "the process that worked on the picture ended: other requests are not concerned"
            raise Problem(500, "codec-failed", reason) from error

    @contextmanager
    def place(self, model: Model, deadline: Deadline) -> Iterator[None]:
        """Holds a place in the model's queue while a picture is decoded. Raises Problem 503 or 504."""
        _check_time(deadline)
        try:
            with model.batcher.place(deadline.left):
                yield
        except QueueFullError as error:
            raise _busy(error) from error

    async def infer(
        self, model: Model, rows: NDArray[Any], deadline: Deadline, admitted: bool = False
    ) -> NDArray[np.uint8]:
        """Results of `rows` from the model's batcher; `admitted`: they had a `place`. Raises Problem 500, 503, 504."""
        _check_time(deadline)
        try:
            return await model.batcher.submit(rows, deadline.left, admitted)
        except QueueFullError as error:
            raise _busy(error) from error
        except DeadlineError as error:
            raise _late(deadline) from error
        except InferenceError as error:
            raise Problem(500, "inference-failed", f"{error}; other requests are not concerned") from error


def _check_time(deadline: Deadline) -> None:
    if not deadline.left:
        raise _late(deadline)


def _late(deadline: Deadline) -> Problem:
    reason = f"no result within {deadline.seconds:g} s: ask for less at once, or try again later"
    return Problem(504, "deadline-exceeded", reason)


def _busy(error: QueueFullError) -> Problem:
    return Problem(503, "queue-full", str(error), headers={"Retry-After": str(error.retry_after_seconds)})


def state_of(request: Request) -> State:
    """What the application of `request` shares."""
    state: State = request.app.state.shared
    return state
