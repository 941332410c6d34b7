"""The objects that all routes share, owned by the application."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from fastapi import Request
from numpy.typing import NDArray

from service.access.limits import RateLimiter
from service.deadline import Deadline
from service.engine.queue import DeadlineError, InferenceError, QueueFullError
from service.errors import Problem
from service.images.codec_pool import CodecPool
from service.live.in_flight import InFlight
from service.live.reloader import Reloader
from service.model import Model
from service.registry import Registry
from service.settings import Settings
from service.telemetry.metrics import Metrics

EXTRA_HEADERS = "extra_headers"
"""Key of a request's state under which headers are left that its response gets, whatever it is."""


@dataclass
class Lifecycle:
    """The state of the process."""

    draining: bool = False
    """SIGTERM has arrived: accepted requests are finished, new ones are refused."""
    hung: bool = False
    """A batch has not ended though all requests have: its thread will not end either."""
    in_flight: InFlight = field(default_factory=InFlight)
    """Requests that have begun and not ended."""


@dataclass(frozen=True)
class AppContext:
    """Settings, metrics, models, codecs, and the state of the process. Turns the engine's errors into problems."""

    settings: Settings
    metrics: Metrics
    registry: Registry
    reloader: Reloader
    codecs: CodecPool
    limiter: RateLimiter | None = None
    lifecycle: Lifecycle = field(default_factory=Lifecycle)

    def check_limit(self, request: Request) -> None:
        """Raises Problem 429 when the client has no image left of its rate limit, if there is one."""
        if self.limiter is not None:
            self.limiter.check(request.scope["state"]["client"])

    def charge(self, request: Request, images: int, model: Model, deadline: Deadline) -> None:
        """Counts images towards the client's rate limit, if there is one.

        Raises Problem 429 when it is reached, and as `check_room` does: what is refused does not count.
        """
        if self.limiter is not None:
            self.check_room(model, deadline)
            state = request.scope["state"]
            headers = self.limiter.charge(state["client"], images)
            state[EXTRA_HEADERS] = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    def check_room(self, model: Model, deadline: Deadline) -> None:
        """Raises Problem 503 when the model's queue has no room for a request, 504 when its time is over."""
        deadline.check()
        try:
            model.batcher.check_room(deadline.left)
        except QueueFullError as error:
            raise _queue_full(error) from error

    @contextmanager
    def reserve(self, model: Model, deadline: Deadline) -> Iterator[None]:
        """Holds a place in the model's queue inside the block. Raises Problem like `check_room`."""
        deadline.check()
        try:
            with model.batcher.reserve(deadline.left):
                yield
        except QueueFullError as error:
            raise _queue_full(error) from error

    async def infer(
        self, model: Model, inputs: NDArray[Any], deadline: Deadline, reserved: bool = False
    ) -> NDArray[np.uint8]:
        """Returns the model's outputs of `inputs`. Raises Problem 500, 503 or 504.

        `reserved`: the request had a place in the queue.
        """
        deadline.check()
        try:
            return await model.batcher.submit(inputs, deadline.left, reserved)
        except QueueFullError as error:
            raise _queue_full(error) from error
        except DeadlineError as error:
            raise deadline.exceeded() from error
        except InferenceError as error:
            raise Problem(500, "inference-failed", f"{error}; other requests are not affected") from error


def _queue_full(error: QueueFullError) -> Problem:
    return Problem(503, "queue-full", str(error), headers={"Retry-After": str(error.retry_after_seconds)})


def context_of(request: Request) -> AppContext:
    """Returns the context of the request's application."""
    context: AppContext = request.app.state.context
    return context
