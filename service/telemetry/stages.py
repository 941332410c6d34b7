"""How long a request took in each stage, for its Server-Timing header."""

from contextvars import ContextVar

_DURATIONS = "queue;dur=%.2f, inference;dur=%.2f, encode;dur=%.2f"
"""Formatted with %, which takes half the time of an f-string."""


class Stages:
    """Seconds that a request has spent in each stage so far."""

    __slots__ = ("decode", "encode", "inference", "queue")

    def __init__(self) -> None:
        self.decode = self.queue = self.inference = self.encode = 0.0

    def server_timing(self) -> str:
        """Returns the value of the Server-Timing header, in milliseconds. What has not been decoded has no `decode`."""
        durations = _DURATIONS % (self.queue * 1000, self.inference * 1000, self.encode * 1000)
        return f"decode;dur={self.decode * 1000:.2f}, {durations}" if self.decode else durations


current: ContextVar[Stages | None] = ContextVar("stages", default=None)
"""Stages of the current request; None where nobody asked for them."""


def begin() -> Stages:
    """Starts to time the stages of the current request."""
    stages = Stages()
    current.set(stages)
    return stages
