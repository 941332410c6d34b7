"""What the routes share, owned by the application."""

import asyncio
import contextvars
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import numpy as np
from fastapi import Depends, Header, Request
from numpy.typing import NDArray

from service.batcher import DeadlineError, InferenceError, QueueFullError
from service.metrics import Metrics
from service.problems import Problem
from service.registry import Model, Registry
from service.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True)
class RequestDeadline:
    """When a request's answer is of no more use to its client."""

    seconds: float
    """What it was given on arrival."""
    ends: float
    """On the monotonic clock."""

    @property
    def left(self) -> float:
        """Seconds left, at least 0."""
        return max(0.0, self.ends - time.monotonic())


@dataclass(frozen=True)
class State:
    """Settings, metrics, models and the threads that decode and encode."""

    settings: Settings
    metrics: Metrics
    registry: Registry
    codec_threads: ThreadPoolExecutor

    async def in_codec_thread(self, work: Callable[..., T], *arguments: object) -> T:
        """Runs blocking codec work off the event loop, with the request's context variables: its ids and its span."""
        run = contextvars.copy_context().run
        return await asyncio.get_running_loop().run_in_executor(self.codec_threads, run, work, *arguments)

    @contextmanager
    def place(self, model: Model) -> Iterator[None]:
        """Holds a place in the model's queue while a picture is decoded. Raises Problem 503 when it is full."""
        try:
            with model.batcher.place():
                yield
        except QueueFullError as error:
            raise _busy(error) from error

    async def infer(self, model: Model, rows: NDArray[Any], deadline: RequestDeadline) -> NDArray[np.uint8]:
        """Results of `rows` from the model's batcher. Raises Problem 503, 504 or 500."""
        try:
            return await model.batcher.submit(rows, deadline.left)
        except QueueFullError as error:
            raise _busy(error) from error
        except DeadlineError as error:
            reason = f"no result within {deadline.seconds:g} s: ask for less at once, or try again later"
            raise Problem(504, "deadline-exceeded", reason) from error
        except InferenceError as error:
            raise Problem(500, "inference-failed", f"{error}; other requests are not concerned") from error


def _busy(error: QueueFullError) -> Problem:
    return Problem(503, "queue-full", str(error), headers={"Retry-After": str(error.retry_after_seconds)})


def _state_of(request: Request) -> State:
    state: State = request.app.state.shared
    return state


Shared = Annotated[State, Depends(_state_of)]


def _deadline_of(
    shared: Shared,
    x_request_timeout: Annotated[
        float | None,
        Header(gt=0, allow_inf_nan=False, description="Seconds that the client waits; at most GAN_TIMEOUT_SECONDS."),
    ] = None,
) -> RequestDeadline:
    seconds = min(x_request_timeout or shared.settings.timeout_seconds, shared.settings.timeout_seconds)
    return RequestDeadline(seconds, time.monotonic() + seconds)


Deadline = Annotated[RequestDeadline, Depends(_deadline_of)]
