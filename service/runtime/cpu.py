"""A model on the CPU."""

import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.card import MODEL_FILE, ModelCard
from service.runtime.inputs import Feed, check_outputs, feeder, probe_inputs
from service.runtime.slots import Slot

PROVIDER = "CPUExecutionProvider"

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")

INLINE_SECONDS = 0.0015
"""Longest run that stays on the event loop: handing a batch to a thread and back takes as long under load."""

SHRINK_PIXELS = 512 * 512
"""Runs on larger images return their memory afterwards; the arena would keep what the largest one took."""


def usable_cores(quota: Path = CGROUP_QUOTA) -> int:
    """Returns the cores that the scheduler allows, or fewer where a container's `quota` (cgroup v2) allows less.

    A thread for every core of a large node would be throttled most of the time under a small quota.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        share, period = quota.read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if share == "max" else max(1, min(cores, math.ceil(int(share) / int(period))))


class CpuSession:
    """Runs batches side by side, one thread each: no thread waits for another, and no core idles.

    A translation that runs alone uses all cores and is that much faster. Digits do not: their layers are too small to
    be shared between threads (benchmarks/serving/threads.py).
    """

    provider = PROVIDER

    def __init__(self, folder: Path, card: ModelCard, threads: int, max_items: int, images: int) -> None:
        """Loads the model.

        `threads`: for a translation that runs alone. `max_items`: largest batch of digits. `images`: largest batch of
        images, counted as 256x256. Raises what ONNX Runtime does for a file that is no model or not the card's, and
        ValueError for outputs that are not.
        """
        self._feed, self._sampler = feeder(card), card.latent is not None
        self._max_items, self._max_pixels = max_items, images * 256 * 256
        model = (folder / MODEL_FILE).read_bytes()
        self._narrow = _open(model, 1)
        self._wide = _open(model, threads) if threads > 1 and not self._sampler else self._narrow
        probe = probe_inputs(card)
        for session in (self._narrow, self._wide):
            check_outputs(card, probe, session.run(None, self._feed(probe)))
        self.inline_items = self._measure_inline_items(probe_inputs(card)) if self._sampler else 0

    def batch_size(self, shape: tuple[int, ...], queued: int) -> int:
        """Returns how many of `queued` items of `shape` run together. All sizes are equally efficient on the CPU."""
        if self._sampler:
            return min(queued, self._max_items)
        return min(queued, max(1, self._max_pixels // (shape[0] * shape[1])))

    def run(self, slot: Slot, inputs: NDArray[Any], alone: bool) -> NDArray[np.uint8]:
        """Returns the outputs of `inputs`. Releases the GIL; ONNX Runtime's sessions are thread-safe."""
        large = not self._sampler and inputs.shape[1] * inputs.shape[2] > SHRINK_PIXELS
        session = self._wide if alone else self._narrow
        (outputs,) = session.run(None, self._feed(inputs), _shrink_arena() if large else None)
        return outputs

    def _measure_inline_items(self, probe: NDArray[Any]) -> int:
        """Returns the largest power of two of items that run in INLINE_SECONDS, at most a full batch; 0 if none do."""
        fitting, size = 0, 1
        while size <= self._max_items:
            if measure(self._narrow, self._feed(np.repeat(probe, size, axis=0))) > INLINE_SECONDS:
                break
            fitting, size = size, 2 * size
        return fitting


def measure(session: ort.InferenceSession, feed: Feed) -> float:
    """Returns the seconds of the fastest of five runs: other work on the machine only makes runs slower."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - start)
    return min(times)


def _shrink_arena() -> ort.RunOptions:
    options = ort.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def _open(model: bytes, threads: int) -> ort.InferenceSession:
    """Opens a session of a file's content: without a path, ONNX Runtime reads weights from no other file."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that spin between the operators of a run save a third of its time. After the run they would only take
    # cores from the codecs and the event loop.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return ort.InferenceSession(model, options, providers=[PROVIDER])
