"""When a call is tried again: after Retry-After or a growing pause, as long as its deadline allows.

Every call of the service may be repeated: none changes anything there.
"""

import random
import time
from dataclasses import dataclass
from typing import Any, Final, Self, TypeGuard

import httpx
from tenacity import RetryCallState, retry_if_exception, stop_before_delay

from gan_client.errors import ProblemError, UnreachableError

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 8.0
"""Pauses double from one try to the next, where the service does not say how long to wait."""
JITTER: Final = 0.25
"""Pauses are longer by up to this part, at random, so that clients that were refused together return apart."""
LONGEST_JITTER_S: Final = 1.0
"""And by no more than this: a pause of the service's own may just fit into the deadline."""
BUSY: Final = (502, 503)
"""No service behind a proxy, and a service that is full, draining or starting."""


@dataclass(frozen=True)
class Deadline:
    """The end of a call, with all its tries."""

    seconds: float
    ends: float
    """On the monotonic clock."""

    @classmethod
    def after(cls, seconds: float) -> Self:
        """The deadline `seconds` from now."""
        return cls(seconds, time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds left, at least a millisecond: a try that begins in time has some."""
        return max(0.001, self.ends - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether no time is left."""
        return time.monotonic() > self.ends


def policy(deadline: Deadline, waits: bool = True) -> dict[str, Any]:
    """The arguments of tenacity's `Retrying` and `AsyncRetrying`. No pause lasts beyond the deadline.

    `waits`: whether a response with Retry-After is one to wait for.
    """
    return {
        "retry": retry_if_exception(lambda error: _passes(error) and (waits or not asks_to_wait(error))),
        "wait": _pause,
        "stop": stop_before_delay(deadline.left),
        "reraise": True,
    }


def asks_to_wait(error: BaseException) -> TypeGuard[ProblemError]:
    """Whether the service is busy, or the caller over the rate limit, and the service says for how long."""
    return isinstance(error, ProblemError) and error.status in (429, 503) and error.retry_after is not None


def unreachable(error: httpx.TransportError | TimeoutError, url: httpx.URL, deadline: Deadline) -> UnreachableError:
    """The error of a try that got no response."""
    reason = str(error) or type(error).__name__
    return UnreachableError(f"no response from {url} within {deadline.seconds:g} s ({reason}): is the service running?")


def check(response: httpx.Response) -> None:
    """Raises ProblemError unless the response has status 200."""
    if response.status_code == 200:
        return
    try:
        document = response.json()
        kind = str(document["type"]).removeprefix("urn:gan:problem:")
        detail, request_id = str(document["detail"]), document.get("request_id")
    except (ValueError, KeyError, TypeError):  # from something between the client and the service
        kind, detail, request_id = "", f"{response.url} responded: {response.reason_phrase}", None
    raise ProblemError(response.status_code, kind, detail, request_id, _seconds(response.headers.get("Retry-After")))


def _passes(error: BaseException) -> bool:
    """Whether a later try may succeed. A 429 without Retry-After asks for more than the whole limit."""
    if isinstance(error, ProblemError):
        return error.status in BUSY or (error.status == 429 and error.retry_after is not None)
    return isinstance(error, UnreachableError)


def _pause(state: RetryCallState) -> float:
    """Seconds until the next try."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, ProblemError) else None
    pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (state.attempt_number - 1)) if asked is None else asked
    return pause + min(JITTER * pause, LONGEST_JITTER_S) * random.random()  # noqa: S311 - no secret


def _seconds(retry_after: str | None) -> float | None:
    """Seconds of a Retry-After header; None for a date, which the service does not send."""
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
