"""The error that a client sees: `service.api.problems` turns it into an HTTP response."""

import functools
from typing import Any


class Problem(Exception):
    """A request cannot be served as asked. The response is a problem document (RFC 9457)."""

    def __init__(
        self, status: int, kind: str, detail: str, *, headers: dict[str, str] | None = None, **extra: object
    ) -> None:
        """Takes the document's contents.

        `status`: HTTP status. `kind`: the error's name for programs, which never changes. `detail`: text for people,
        which says what to do. `headers`: further headers of the response. `extra`: further members of the document.
        """
        super().__init__(detail)
        self.status, self.kind, self.detail, self.headers, self.extra = status, kind, detail, headers, extra

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the keyword arguments too: codec processes send problems to the service."""
        options: dict[str, Any] = {"headers": self.headers, **self.extra}
        return functools.partial(Problem, **options), (self.status, self.kind, self.detail)
