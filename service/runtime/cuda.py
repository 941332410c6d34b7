"""A model on one or more GPUs."""

import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.card import ModelCard
from service.runtime import cuda_driver
from service.runtime.batch_size import batch_size, padded
from service.runtime.inputs import Feed, feeder, probe_rows
from service.runtime.io_binding import NO_GRAPH, Binding
from service.runtime.memory import Memory
from service.runtime.slots import Slot, Slots
from service.settings import Settings

USUAL_SIDE = 256
"""Side of the pictures for which batches are prepared and timed at the start."""
PICTURES = 16
"""Of 256x256 that run together unless the settings say otherwise."""
KEPT_SHAPES = 32
"""Batches of other sizes and shapes whose buffers are kept, the latest; further ones are allocated again."""

Bind = Callable[[Feed, tuple[int, ...], int], Binding]


def provider_options(settings: Settings, device_id: int) -> dict[str, str]:
    """Options of ONNX Runtime's CUDA provider for one GPU."""
    options = {
        "device_id": str(device_id),
        "cudnn_conv_algo_search": settings.cuda_conv_search.upper(),
        "use_tf32": str(int(settings.cuda_tf32)),
        "enable_cuda_graph": str(int(settings.cuda_graphs)),
        "arena_extend_strategy": "kSameAsRequested",
        "do_copy_in_default_stream": "1",
    }
    if settings.cuda_memory_bytes:
        options["gpu_mem_limit"] = str(settings.cuda_memory_bytes)
    return options


class CudaSession:
    """Every slot has a session, and so a stream and buffers, of its own: one batch's copies overlap another's run.

    Batches are padded to a few sizes; of usual shape each is captured as a CUDA graph when the model is loaded.
    """

    provider, inline_rows = cuda_driver.PROVIDER, 0

    def __init__(self, path: Path, card: ModelCard, slots: Slots, settings: Settings) -> None:
        """`path`: the file to run, one of the card's.

        Raises whatever ONNX Runtime does where CUDA does not work, also when a node would run on the CPU.
        """
        memories = [cuda_driver.CudaMemory(i) for i in range(cuda_driver.device_count())]
        pictures, sizes = settings.batch_pictures or PICTURES, tuple(sorted(settings.batch_sizes))
        self._lanes = []
        for slot in slots.all:
            memory = memories[slot.index % len(memories)]
            session = open_session(path, provider_options(settings, memory.device_id))
            lane = Lane(session, card, memory, sizes, pictures, graphs=settings.cuda_graphs)
            slot.thread.submit(lane.prepare).result()
            self._lanes.append(lane)

    def take(self, shape: tuple[int, ...], waiting: int) -> int:
        """How many of `waiting` items of `shape` run together, by what batches took when the model was loaded."""
        return self._lanes[0].take(shape, waiting)

    def run(self, slot: Slot, rows: NDArray[Any], alone: bool) -> NDArray[np.uint8]:
        """Answers of `rows`, in the slot's own thread."""
        return self._lanes[slot.index].run(rows)


class Lane:
    """One session with its bindings; for one thread."""

    def __init__(
        self,
        session: ort.InferenceSession,
        card: ModelCard,
        memory: Memory,
        sizes: tuple[int, ...],
        pictures: int,
        graphs: bool,
    ) -> None:
        """`sizes`: of batches, ascending. `pictures`: of 256x256 in the largest. `graphs`: capture usual batches."""
        self._session, self._card, self._memory, self._sizes = session, card, memory, sizes
        self._pixels, self._graphs, self._feed = pictures * USUAL_SIDE**2, graphs, feeder(card)
        self._usual: dict[tuple[int, ...], Binding] = {}
        self._other: OrderedDict[tuple[int, ...], Binding] = OrderedDict()
        self._seconds: dict[int, float] = {}

    def prepare(self) -> None:
        """Binds, captures and times a batch of every size in the usual shape."""
        probe = probe_rows(self._card)
        shape = probe.shape[1:] if self._card.latent else (USUAL_SIDE, USUAL_SIDE, 3)
        for graph, size in enumerate(self._sizes_for(shape), start=1):
            rows = np.zeros((size, *shape), probe.dtype)
            self._usual[rows.shape] = self._bind(rows, graph if self._graphs else NO_GRAPH)
            for _ in range(3):  # allocates, captures, replays
                start = time.perf_counter()
                self.run(rows)
                self._seconds[size] = time.perf_counter() - start

    def take(self, shape: tuple[int, ...], waiting: int) -> int:
        """How many of `waiting` items of `shape` run together."""
        return batch_size(waiting, {size: self._expected(size) for size in self._sizes_for(shape)})

    def run(self, rows: NDArray[Any]) -> NDArray[np.uint8]:
        """Answers of `rows`, which are padded to the next size of batch."""
        shape = (padded(len(rows), self._sizes_for(rows.shape[1:])), *rows.shape[1:])
        binding = self._usual.get(shape) or self._other.get(shape)
        if binding is None:
            binding = self._other[shape] = self._bind(np.zeros(shape, rows.dtype), NO_GRAPH)
            if len(self._other) > KEPT_SHAPES:
                self._other.popitem(last=False)
        if shape in self._other:
            self._other.move_to_end(shape)
        return binding.run(self._feed(rows), len(rows))

    def _expected(self, size: int) -> float:
        """Seconds of a batch in the usual shape; of a size that was not timed, in proportion to the one below."""
        timed = max((s for s in self._seconds if s <= size), default=min(self._seconds))
        return self._seconds[timed] * size / timed

    def _sizes_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Sizes of batches of `shape`: of pictures, those whose pixels are not too many."""
        if self._card.latent is not None:
            return self._sizes
        return tuple(s for s in self._sizes if s * shape[0] * shape[1] <= self._pixels) or (1,)

    def _bind(self, rows: NDArray[Any], graph: int) -> Binding:
        axes = dict(zip(self._card.input.shape, rows.shape, strict=False))  # of samplers, only N is open
        output = tuple(axes[axis] if isinstance(axis, str) else axis for axis in self._card.output.shape)
        return Binding(self._session, self._feed(rows), output, self._memory, graph)


def open_session(path: Path, options: dict[str, str]) -> ort.InferenceSession:
    """A session whose every node runs on the GPU. Raises RuntimeError or what ONNX Runtime does where it would not."""
    session_options = ort.SessionOptions()
    session_options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    session = ort.InferenceSession(str(path), session_options, providers=[(cuda_driver.PROVIDER, options)])
    session.disable_fallback()  # otherwise run() would move to the CPU after a CUDA error without a word
    if session.get_providers()[0] != cuda_driver.PROVIDER:
        raise RuntimeError("ONNX Runtime did not register its CUDA provider")
    return session
