"""What waits for one model, and how the next batch is composed of it.

Fairness: the oldest request's shape goes next; every waiting request of that shape gets an equal share of the
batch, small ones whole; a request that is not finished goes to the back of the queue.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]
Answers = NDArray[np.uint8]
Take = Callable[[tuple[int, ...], int], int]
"""Shape of an item and how many wait -> how many to run together, at least 1."""


@dataclass(eq=False, slots=True)
class Entry:
    """One request."""

    rows: Rows
    """Its items, at least one, along the first axis."""
    future: asyncio.Future[Answers]
    """Resolved once, with all the request's results or its error."""
    deadline: float
    """When the result is of no more use, on the batcher's clock."""
    queued_at: float
    """When it was accepted."""
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    """The request's context variables: what is logged and traced on its behalf bears its ids."""
    taken: int = 0
    """Rows already given to a batch."""
    answered: int = 0
    """Rows whose results are there."""
    answers: Answers | None = None
    """Results so far, each at its row's place: parts that run side by side may end in any order."""
    failed: bool = False
    """The model failed on a part of it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an item."""
        return self.rows.shape[1:]

    @property
    def row_size(self) -> int:
        """Elements of an item."""
        return self.rows.size // len(self.rows)

    @property
    def left(self) -> int:
        """Rows that still wait."""
        return len(self.rows) - self.taken


@dataclass(eq=False, slots=True)
class Part:
    """Rows of one request in one batch."""

    entry: Entry
    first: int
    count: int

    @property
    def rows(self) -> Rows:
        """The rows themselves."""
        return self.entry.rows[self.first : self.first + self.count]


class Waiting:
    """The requests that wait, the oldest first."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self.elements = 0
        """Of all rows that wait: what they cost is about proportional to it."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def oldest(self) -> Entry:
        """Whose shape goes next; something waits."""
        return self._entries[0]

    def append(self, entry: Entry) -> None:
        """At the back."""
        self._entries.append(entry)
        self.elements += entry.left * entry.row_size

    def compose(self, take: Take) -> list[Part]:
        """Takes out the next batch; something waits."""
        shape = self.oldest.shape
        waiting = [entry for entry in self._entries if entry.shape == shape]
        room = take(shape, sum(entry.left for entry in waiting))
        batch = []
        waiting = sorted(waiting[:room], key=lambda entry: entry.left)
        for place, entry in enumerate(waiting):
            share = min(entry.left, room // (len(waiting) - place))
            room -= share
            batch.append(Part(entry, entry.taken, share))
            self._entries.remove(entry)
            entry.taken += share
            self.elements -= share * entry.row_size
            if entry.left:
                self._entries.append(entry)
        return batch

    def drop(self, lost: Callable[[Entry], bool]) -> list[Entry]:
        """Takes out and returns those that are `lost`."""
        dropped = [entry for entry in self._entries if lost(entry)]
        if dropped:
            gone = set(dropped)
            self._entries = deque(entry for entry in self._entries if entry not in gone)
            self.elements -= sum(entry.left * entry.row_size for entry in dropped)
        return dropped
