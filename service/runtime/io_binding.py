"""A session bound to buffers that were allocated once, for batches of one size and shape."""

from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.runtime.inputs import Feed
from service.runtime.memory import Memory

NO_GRAPH = -1
"""ONNX Runtime's id for a run that is neither captured as a CUDA graph nor replayed."""


class Binding:
    """Host staging and device buffers of every input and of the output; addresses never change.

    That is what a CUDA graph needs, and it spares each batch two allocations on the device.
    """

    def __init__(
        self, session: ort.InferenceSession, feed: Feed, output_shape: tuple[int, ...], memory: Memory, graph: int
    ) -> None:
        """`feed`: inputs of the size and shape meant. `graph`: id of the CUDA graph, or NO_GRAPH."""
        self._session, self._memory = session, memory
        self._binding = session.io_binding()
        self._options = ort.RunOptions()
        self._options.add_run_config_entry("gpu_graph_id", str(graph))
        self._inputs = {}
        for name, array in feed.items():
            value = self._allocate(array.shape, array.dtype)
            self._binding.bind_ortvalue_input(name, value)
            self._inputs[name] = value, memory.host(array.shape, array.dtype)
        self._output, self._answer = self._allocate(output_shape, np.uint8), memory.host(output_shape, np.uint8)
        self._binding.bind_ortvalue_output(session.get_outputs()[0].name, self._output)

    def run(self, feed: Feed, rows: int) -> NDArray[np.uint8]:
        """Answers of the first `rows` rows; `feed` may have fewer rows than the buffers, the rest keep what they had.

        Not for two threads at once.
        """
        for name, (value, staging) in self._inputs.items():
            staging[:rows] = feed[name]
            self._memory.copy(value.data_ptr(), staging.ctypes.data, staging[:rows].nbytes)
        self._session.run_with_iobinding(self._binding, self._options)
        self._memory.copy(self._answer.ctypes.data, self._output.data_ptr(), self._answer[:rows].nbytes)
        return self._answer[:rows].copy()

    def _allocate(self, shape: tuple[int, ...], dtype: Any) -> ort.OrtValue:  # noqa: ANN401 - numpy's own DTypeLike
        return ort.OrtValue.ortvalue_from_shape_and_type(shape, dtype, self._memory.device, self._memory.device_id)
