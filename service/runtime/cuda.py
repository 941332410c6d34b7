"""A model on one or more GPUs."""

import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.card import ModelCard
from service.runtime import cuda_driver
from service.runtime.inputs import feeder, probe_inputs
from service.runtime.io_binding import NO_GRAPH, Binding, Memory
from service.runtime.slots import Slot, Slots
from service.settings import Settings

USUAL_SIDE = 256
"""Side of the images for which batches are prepared and timed at load."""
MAX_IMAGES = 16
"""Largest batch of images, counted as 256x256, unless the settings say otherwise."""
KEPT_BINDINGS = 32
"""Bindings kept for unusual batch sizes and shapes; the least recently used is dropped."""


def provider_options(settings: Settings, device_id: int) -> dict[str, str]:
    """Returns the options of ONNX Runtime's CUDA provider for one GPU."""
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
    """Runs batches in lanes, one per slot: the copies of one batch overlap the run of another.

    Batches are padded to a few sizes. In the usual shape each size is captured as a CUDA graph at load.
    """

    provider, inline_items = cuda_driver.PROVIDER, 0

    def __init__(self, path: Path, card: ModelCard, slots: Slots, settings: Settings) -> None:
        """Loads one file of the card's model once per slot.

        Raises what ONNX Runtime does when CUDA does not work, or when a node would run on the CPU.
        """
        memories = [cuda_driver.CudaMemory(i) for i in range(cuda_driver.device_count())]
        images, sizes = settings.batch_pictures or MAX_IMAGES, tuple(sorted(settings.batch_sizes))
        self._lanes = []
        for slot in slots.all:
            memory = memories[slot.index % len(memories)]
            session = open_session(path, provider_options(settings, memory.device_id))
            lane = Lane(session, card, memory, sizes, images, graphs=settings.cuda_graphs)
            slot.thread.submit(lane.prepare).result()
            self._lanes.append(lane)

    def batch_size(self, shape: tuple[int, ...], queued: int) -> int:
        """Returns how many of `queued` items of `shape` run together, by the batch times measured at load."""
        return self._lanes[0].batch_size(shape, queued)

    def run(self, slot: Slot, inputs: NDArray[Any], alone: bool) -> NDArray[np.uint8]:
        """Returns the outputs of `inputs`; called in the slot's own thread."""
        return self._lanes[slot.index].run(inputs)


class Lane:
    """An ONNX Runtime session with a stream and buffers of its own, for one thread."""

    def __init__(
        self,
        session: ort.InferenceSession,
        card: ModelCard,
        memory: Memory,
        sizes: tuple[int, ...],
        images: int,
        graphs: bool,
    ) -> None:
        """`sizes`: batch sizes, ascending. `images`: most 256x256 images in a batch. `graphs`: use CUDA graphs."""
        self._session, self._card, self._memory, self._sizes = session, card, memory, sizes
        self._max_pixels, self._graphs, self._feed = images * USUAL_SIDE**2, graphs, feeder(card)
        self._usual: dict[tuple[int, ...], Binding] = {}
        self._unusual: OrderedDict[tuple[int, ...], Binding] = OrderedDict()
        self._seconds: dict[int, float] = {}

    def prepare(self) -> None:
        """Binds, captures and times a batch of every size in the usual shape."""
        probe = probe_inputs(self._card)
        shape = probe.shape[1:] if self._card.latent else (USUAL_SIDE, USUAL_SIDE, 3)
        for graph, size in enumerate(self._sizes_for(shape), start=1):
            inputs = np.zeros((size, *shape), probe.dtype)
            self._usual[inputs.shape] = self._bind(inputs, graph if self._graphs else NO_GRAPH)
            for _ in range(3):  # the first run allocates, the second captures, the third replays
                start = time.perf_counter()
                self.run(inputs)
                self._seconds[size] = time.perf_counter() - start

    def batch_size(self, shape: tuple[int, ...], queued: int) -> int:
        """Returns how many of `queued` items of `shape` run together."""
        return choose_batch_size(queued, {size: self._expected_seconds(size) for size in self._sizes_for(shape)})

    def run(self, inputs: NDArray[Any]) -> NDArray[np.uint8]:
        """Returns the outputs of `inputs`, which are padded to the next batch size."""
        shape = (padded_size(len(inputs), self._sizes_for(inputs.shape[1:])), *inputs.shape[1:])
        binding = self._usual.get(shape) or self._unusual.get(shape)
        if binding is None:
            binding = self._unusual[shape] = self._bind(np.zeros(shape, inputs.dtype), NO_GRAPH)
            if len(self._unusual) > KEPT_BINDINGS:
                self._unusual.popitem(last=False)
        if shape in self._unusual:
            self._unusual.move_to_end(shape)
        return binding.run(self._feed(inputs), len(inputs))

    def _expected_seconds(self, size: int) -> float:
        """Returns a batch's time in the usual shape; an untimed size is scaled from the next smaller timed one."""
        timed = max((s for s in self._seconds if s <= size), default=min(self._seconds))
        return self._seconds[timed] * size / timed

    def _sizes_for(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Returns the batch sizes for items of `shape`; a batch of images has a maximum of pixels."""
        if self._card.latent is not None:
            return self._sizes
        return tuple(s for s in self._sizes if s * shape[0] * shape[1] <= self._max_pixels) or (1,)

    def _bind(self, inputs: NDArray[Any], graph: int) -> Binding:
        axes = dict(zip(self._card.input.shape, inputs.shape, strict=False))  # a sampler's only open axis is N
        output = tuple(axes[axis] if isinstance(axis, str) else axis for axis in self._card.output.shape)
        return Binding(self._session, self._feed(inputs), output, self._memory, graph)


def open_session(path: Path, options: dict[str, str]) -> ort.InferenceSession:
    """Opens a session whose every node runs on the GPU. Raises RuntimeError, or ONNX Runtime's error, otherwise."""
    session_options = ort.SessionOptions()
    session_options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    # from the content: without a path, ONNX Runtime reads weights from no other file
    session = ort.InferenceSession(path.read_bytes(), session_options, providers=[(cuda_driver.PROVIDER, options)])
    session.disable_fallback()  # otherwise run() would silently move to the CPU after a CUDA error
    if session.get_providers()[0] != cuda_driver.PROVIDER:
        raise RuntimeError("ONNX Runtime did not register its CUDA provider")
    return session


def choose_batch_size(queued: int, seconds: Mapping[int, float]) -> int:
    """Returns how many of `queued` >= 1 items to run now, given that a batch of each size takes `seconds[size]`.

    All of them, padded to the next size, where that takes no longer than a full smaller batch and then the rest;
    otherwise the smaller batch. Never more than the largest size.
    """
    sizes = sorted(seconds)
    if queued >= sizes[-1]:
        return sizes[-1]
    above = next(size for size in sizes if size >= queued)
    below = max((size for size in sizes if size <= queued), default=above)
    if below in (above, queued):
        return queued
    rest = next(size for size in sizes if size >= queued - below)
    return queued if seconds[above] <= seconds[below] + seconds[rest] else below


def padded_size(n_items: int, sizes: tuple[int, ...]) -> int:
    """Returns the smallest of `sizes` that holds `n_items`. Raises ValueError when none does."""
    fitting = [size for size in sizes if size >= n_items]
    if not fitting:
        raise ValueError(f"{n_items} items, but batches have at most {max(sizes)}")
    return min(fitting)
