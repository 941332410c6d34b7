"""A session bound to buffers that are allocated once, for batches of one size and shape."""

import ctypes
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import DTypeLike, NDArray

from service.runtime.inputs import Feed

NO_GRAPH = -1
"""ONNX Runtime's id of a run that neither captures nor replays a CUDA graph."""


class Memory(Protocol):
    """Where a device keeps its tensors; `service.runtime.cuda_driver` has a GPU's."""

    device: str
    """ONNX Runtime's name of the device: cpu or cuda."""
    device_id: int
    """Number of the device."""

    def host(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Allocates an array on the host from which copies to the device are fast."""
        ...

    def copy(self, to: int, source: int, n_bytes: int) -> None:
        """Copies between two addresses, each on the host or on the device, and returns when it is done."""
        ...


class HostMemory:
    """The CPU's memory."""

    device, device_id = "cpu", 0

    def host(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Allocates an ordinary array."""
        return np.zeros(shape, dtype)

    def copy(self, to: int, source: int, n_bytes: int) -> None:
        """Calls memmove."""
        ctypes.memmove(to, source, n_bytes)


class Binding:
    """Host staging and device buffers of every input and of the output.

    Their addresses never change, as a CUDA graph requires, and a batch allocates nothing on the device.
    """

    def __init__(
        self, session: ort.InferenceSession, feed: Feed, output_shape: tuple[int, ...], memory: Memory, graph: int
    ) -> None:
        """`feed`: inputs of the size and shape to bind. `graph`: id of the CUDA graph, or NO_GRAPH."""
        self._session, self._memory = session, memory
        self._binding = session.io_binding()
        self._options = ort.RunOptions()
        self._options.add_run_config_entry("gpu_graph_id", str(graph))
        self._inputs = {}
        for name, array in feed.items():
            value = self._allocate(array.shape, array.dtype)
            self._binding.bind_ortvalue_input(name, value)
            self._inputs[name] = value, memory.host(array.shape, array.dtype)
        self._device_output, self._output = self._allocate(output_shape, np.uint8), memory.host(output_shape, np.uint8)
        self._binding.bind_ortvalue_output(session.get_outputs()[0].name, self._device_output)

    def run(self, feed: Feed, n_items: int) -> NDArray[np.uint8]:
        """Returns the outputs of the first `n_items`, which is how many `feed` has; the rest of a buffer is padding.

        Not thread-safe.
        """
        for name, (value, staging) in self._inputs.items():
            staging[:n_items] = feed[name]
            self._memory.copy(value.data_ptr(), staging.ctypes.data, staging[:n_items].nbytes)
        self._session.run_with_iobinding(self._binding, self._options)
        self._memory.copy(self._output.ctypes.data, self._device_output.data_ptr(), self._output[:n_items].nbytes)
        return self._output[:n_items].copy()

    def _allocate(self, shape: tuple[int, ...], dtype: Any) -> ort.OrtValue:  # noqa: ANN401 - numpy's own DTypeLike
        return ort.OrtValue.ortvalue_from_shape_and_type(shape, dtype, self._memory.device, self._memory.device_id)
