"""How long a request took in each stage, for its Server-Timing header."""

from contextvars import Context, ContextVar
from typing import Literal

Stage = Literal["queue", "decode", "inference", "encode"]

_seconds: ContextVar[dict[Stage, float] | None] = ContextVar("stage_seconds", default=None)
"""Seconds of the current request in each stage so far; None where nobody asked for them."""


def begin() -> None:
    """Starts to add up the stages of the current request."""
    _seconds.set({})


def add(stage: Stage, seconds: float, within: Context | None = None) -> None:
    """Adds time to a stage of the current request, or of the one of the context variables `within`."""
    stages = _seconds.get() if within is None else within.get(_seconds)
    if stages is not None:
        stages[stage] = stages.get(stage, 0.0) + seconds


def server_timing() -> str:
    """Returns the value of the Server-Timing header, in milliseconds, stages in the order in which they ended."""
    return ", ".join([f"{stage};dur={seconds * 1000:.2f}" for stage, seconds in (_seconds.get() or {}).items()])
