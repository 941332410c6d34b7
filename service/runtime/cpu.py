"""A model on the CPU."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.card import MODEL_FILE, ModelCard
from service.runtime.inputs import feeder, probe_rows
from service.runtime.slots import Slot

PROVIDER = "CPUExecutionProvider"

INLINE_SECONDS = 0.0015
"""To hand a batch to a thread and back takes as long where the event loop is busy."""

GIVEN_BACK_PIXELS = 512 * 512
"""Pictures above it give their memory back when they are done, or the arena keeps what the largest have taken."""


class CpuSession:
    """Batches run side by side, one thread each, which costs nothing for synchronisation and leaves no core idle.

    A lone translation takes all cores instead, and is done as much sooner. Digits do not: their layers are too
    small to share (benchmarks/threads.py).
    """

    provider = PROVIDER

    def __init__(self, folder: Path, card: ModelCard, threads: int, batch: int, pictures: int) -> None:
        """`threads`: of a lone translation. `batch`: digits that run together at most; `pictures`: of 256x256.

        Raises whatever ONNX Runtime does for a file that is no model or not the card's.
        """
        self._feed, self._sampler, self._batch, self._pictures = feeder(card), card.latent is not None, batch, pictures
        path = str(folder / MODEL_FILE)
        self._narrow = _open(path, 1)
        self._wide = _open(path, threads) if threads > 1 and not self._sampler else self._narrow
        for session in (self._narrow, self._wide):
            session.run(None, self._feed(probe_rows(card)))
        self.inline_rows = self._rows_within(INLINE_SECONDS, probe_rows(card)) if self._sampler else 0

    def take(self, shape: tuple[int, ...], waiting: int) -> int:
        """How many of `waiting` items of `shape` run together: no size costs more to begin with than another."""
        if self._sampler:
            return min(waiting, self._batch)
        return min(waiting, max(1, self._pictures * 256 * 256 // (shape[0] * shape[1])))

    def run(self, slot: Slot, rows: NDArray[Any], alone: bool) -> NDArray[np.uint8]:
        """Answers of `rows`; releases the GIL while it computes. ONNX Runtime lets sessions be shared by threads."""
        large = not self._sampler and rows.shape[1] * rows.shape[2] > GIVEN_BACK_PIXELS
        session = self._wide if alone else self._narrow
        (answer,) = session.run(None, self._feed(rows), _giving_back() if large else None)
        return answer

    def _rows_within(self, seconds: float, probe: NDArray[Any]) -> int:
        """The largest power of two of rows that run together in so much time here, up to a whole batch; 0 if none."""
        fitting, size = 0, 1
        while size <= self._batch and self._quickest(np.repeat(probe, size, axis=0)) <= seconds:
            fitting, size = size, 2 * size
        return fitting

    def _quickest(self, rows: NDArray[Any]) -> float:
        """Seconds of one of a few runs: what else the machine does only adds to it."""
        times = []
        for _ in range(5):
            start = time.perf_counter()
            self._narrow.run(None, self._feed(rows))
            times.append(time.perf_counter() - start)
        return min(times)


def _giving_back() -> ort.RunOptions:
    options = ort.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def _open(path: str, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that spin between two operators of a run save a third of its time; after the run they would only
    # take cores from codecs and the event loop.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return ort.InferenceSession(path, options, providers=[PROVIDER])
