"""What a request is answered when it cannot have what it asks for."""

import functools
from typing import Any


class Problem(Exception):
    """An answer other than the one asked for."""

    def __init__(
        self, status: int, kind: str, detail: str, *, headers: dict[str, str] | None = None, **extra: object
    ) -> None:
        """`kind` names the error for programs and stays the same; `detail` tells a person what to do."""
        super().__init__(detail)
        self.status, self.kind, self.detail, self.headers, self.extra = status, kind, detail, headers, extra

    def __reduce__(self) -> tuple[Any, ...]:
        """For its way from a codec process."""
        options: dict[str, Any] = {"headers": self.headers, **self.extra}
        return functools.partial(Problem, **options), (self.status, self.kind, self.detail)
