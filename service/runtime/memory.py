"""Memory that a bound model reads and writes: the CPU's own here, a GPU's in `service.runtime.cuda_driver`."""

import ctypes
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Memory(Protocol):
    """Where a device keeps its tensors, and how they get there."""

    device: str
    """ONNX Runtime's name of it: cpu or cuda."""
    device_id: int
    """Which of them."""

    def host(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array on the host from which copies to the device are fast."""
        ...

    def copy(self, to: int, source: int, n_bytes: int) -> None:
        """Copies between two addresses, each on the host or the device, and returns when it is done."""
        ...


class HostMemory:
    """The CPU's."""

    device, device_id = "cpu", 0

    def host(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Any array will do."""
        return np.zeros(shape, dtype)

    def copy(self, to: int, source: int, n_bytes: int) -> None:
        """A memmove."""
        ctypes.memmove(to, source, n_bytes)
