"""The queue of one model, and how the next batch is composed from it.

Fairness: the oldest request's shape goes next. Every queued request of that shape gets an equal share of the batch,
small ones whole. A request that is not finished goes to the back of the queue.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.telemetry.stages import Stages, current

Inputs = NDArray[Any]
"""Items for a model, along the first axis."""
Outputs = NDArray[np.uint8]
"""A model's results, one per item."""
BatchSizePolicy = Callable[[tuple[int, ...], int], int]
"""Maps an item's shape and how many such items are queued to how many run together, at least 1."""

SMOOTHING = 0.2
"""Smoothing factor of the average request size."""


class QueueFullError(Exception):
    """There is no room in the queue; `retry_after_seconds` says when there should be."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"the queue is full, try again in {retry_after_seconds} s")
        self.retry_after_seconds = retry_after_seconds


class DeadlineError(Exception):
    """The outputs were not there in time."""


class InferenceError(Exception):
    """The model failed on this request's own items."""


@dataclass(eq=False, slots=True)
class Entry:
    """One request."""

    inputs: Inputs
    """Its items, at least one."""
    future: asyncio.Future[Outputs]
    """Resolved once, with the outputs of all items or with an error."""
    deadline: float
    """When the outputs are of no more use, on the batcher's clock."""
    queued_at: float
    """When the request was queued, on the batcher's clock."""
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    """The request's context variables: its log lines and spans carry its ids."""
    stages: Stages | None = field(default_factory=current.get)
    """Where the request's time goes, if its route tells the client."""
    taken: int = 0
    """Items already given to a batch."""
    done: int = 0
    """Items whose outputs are there."""
    outputs: Outputs | None = None
    """Outputs so far, in the order of the items: batches that run side by side may end in any order."""
    failed: bool = False
    """The model failed on some of the items."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of an item."""
        return self.inputs.shape[1:]

    @property
    def item_size(self) -> int:
        """Elements of an item."""
        return self.inputs.size // len(self.inputs)

    @property
    def left(self) -> int:
        """Items still in the queue."""
        return len(self.inputs) - self.taken

    def add(self, first: int, outputs: Outputs) -> None:
        """Stores the outputs of the items from `first` on, and resolves the future with the last of them.

        Raises ValueError when their shape differs from earlier ones', MemoryError when there is no room for all.
        """
        if len(outputs) == len(self.inputs):
            self.outputs = outputs
        else:
            if self.outputs is None:
                self.outputs = np.empty((len(self.inputs), *outputs.shape[1:]), outputs.dtype)
            self.outputs[first : first + len(outputs)] = outputs
        self.done += len(outputs)
        if self.done == len(self.inputs) and not self.future.done():
            self.future.set_result(self.outputs)

    def fail(self, model: str, error: Exception) -> None:
        """Marks the request as failed and resolves the future. The client learns no more than that `model` failed."""
        self.failed = True
        if not self.future.done():
            failure = InferenceError(f"{model} failed on this request")
            failure.__cause__ = error.with_traceback(None)  # its frames hold the batch, and so the future
            self.future.set_exception(failure)


@dataclass(eq=False, slots=True)
class Part:
    """The items of one request in one batch."""

    entry: Entry
    first: int
    count: int

    @property
    def inputs(self) -> Inputs:
        """The items themselves."""
        return self.entry.inputs[self.first : self.first + self.count]


class RequestQueue:
    """The queued requests, oldest first, and the reservations of requests that will be queued."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._average_elements = 0.0
        self.elements = 0
        """Input elements of all queued items: their run time is about proportional to it."""
        self.reserved = 0
        """Requests that hold a place while their images are decoded."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def depth(self) -> int:
        """Queued requests and reservations."""
        return len(self._entries) + self.reserved

    def expected_elements(self) -> float:
        """Returns the input elements of all queued items, and of the reservations at the average request size."""
        return self.elements + self.reserved * self._average_elements

    @property
    def oldest(self) -> Entry:
        """The request whose shape goes next. The queue must not be empty."""
        return self._entries[0]

    def append(self, entry: Entry) -> None:
        """Adds a request at the back."""
        self._entries.append(entry)
        self.elements += entry.left * entry.item_size
        self._average_elements += SMOOTHING * (entry.inputs.size - self._average_elements)

    def compose(self, batch_size: BatchSizePolicy) -> list[Part]:
        """Removes and returns the next batch. The queue must not be empty."""
        shape = self.oldest.shape
        entries = [entry for entry in self._entries if entry.shape == shape]
        room = batch_size(shape, sum(entry.left for entry in entries))
        batch = []
        entries = sorted(entries[:room], key=lambda entry: entry.left)
        for place, entry in enumerate(entries):
            share = min(entry.left, room // (len(entries) - place))
            room -= share
            batch.append(Part(entry, entry.taken, share))
            self._entries.remove(entry)
            entry.taken += share
            self.elements -= share * entry.item_size
            if entry.left:
                self._entries.append(entry)
        return batch

    def drop(self, lost: Callable[[Entry], bool]) -> list[Entry]:
        """Removes and returns the requests that are `lost`."""
        dropped = [entry for entry in self._entries if lost(entry)]
        if dropped:
            gone = set(dropped)
            self._entries = deque(entry for entry in self._entries if entry not in gone)
            self.elements -= sum(entry.left * entry.item_size for entry in dropped)
        return dropped
