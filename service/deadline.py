"""The time that a request has."""

import time
from typing import NamedTuple, Self

from service.errors import Problem


class Deadline(NamedTuple):
    """When a request's response is of no more use to its client."""

    seconds: float
    """Time that the request had on arrival."""
    ends: float
    """End of that time, on the monotonic clock."""

    @classmethod
    def after(cls, seconds: float) -> Self:
        """The deadline `seconds` from now."""
        return cls(seconds, time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds left, at least 0."""
        return max(0.0, self.ends - time.monotonic())

    def check(self) -> None:
        """Raises Problem 504 when no time is left."""
        if not self.left:
            raise self.exceeded()

    def exceeded(self) -> Problem:
        """The 504 of a request that could not be served in time."""
        reason = f"no result within {self.seconds:g} s: ask for less at once, or try again later"
        return Problem(504, "deadline-exceeded", reason)
