"""The CUDA runtime through ctypes: whether CUDA works on this machine, what is missing if not, and GPU memory."""

import contextlib
import ctypes
import io
import sys
import weakref
from functools import cache
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import DTypeLike, NDArray

PROVIDER = "CUDAExecutionProvider"

#: Libraries of ONNX Runtime's CUDA 13 provider: first the driver's, then those in requirements/cuda.txt.
_LIBRARIES = {
    "linux": (
        "libcuda.so.1",
        "libcudart.so.13",
        "libcublas.so.13",
        "libcudnn.so.9",
        "libcufft.so.12",
        "libcurand.so.10",
    ),
    "win32": ("nvcuda.dll", "cudart64_13.dll", "cublas64_13.dll", "cudnn64_9.dll", "cufft64_12.dll"),
}
_CURE = {
    "linux": "install what is missing with: pip install --require-hashes -r requirements/cuda.txt",
    "win32": "install CUDA 13 and cuDNN 9 with NVIDIA's installers",
}


def missing_part() -> str | None:
    """Returns None when CUDA can be tried, else a sentence that says what is missing. Prints nothing."""
    if PROVIDER not in ort.get_available_providers():
        return (
            "this onnxruntime was built without CUDA; for a GPU, install the repository's requirements/cuda.txt in a "
            "new environment, then gan-serving with pip install --no-deps"
        )
    driver, *libraries = _LIBRARIES[sys.platform]
    if not _loads(driver):
        return f"{driver} cannot be loaded, so there is no NVIDIA driver on this machine"
    with contextlib.redirect_stdout(io.StringIO()):  # it prints failures, which the check below names
        ort.preload_dlls()
    absent = [name for name in libraries if not _loads(name)]
    if absent:
        return f"{', '.join(absent)} cannot be loaded; {_CURE[sys.platform]}"
    try:
        count = device_count()
    except RuntimeError as error:  # for example, the driver is too old
        return f"CUDA does not start: {error}"
    return None if count else "CUDA sees no GPU"


def device_count() -> int:
    """Number of GPUs that this process may use; CUDA_VISIBLE_DEVICES restricts them."""
    count = ctypes.c_int()
    _check(_runtime().cudaGetDeviceCount(ctypes.byref(count)), "cudaGetDeviceCount")
    return count.value


class CudaMemory:
    """One GPU's memory, and pinned host memory, which the GPU copies directly."""

    device = "cuda"

    def __init__(self, device_id: int) -> None:
        self.device_id = device_id

    def host(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Allocates a pinned array of zeros."""
        array = np.zeros(shape, dtype)
        pointer, portable = ctypes.c_void_p(array.ctypes.data), 1
        _check(_runtime().cudaHostRegister(pointer, ctypes.c_size_t(array.nbytes), portable), "cudaHostRegister")
        weakref.finalize(array, _runtime().cudaHostUnregister, pointer)
        return array

    def copy(self, to: int, source: int, n_bytes: int) -> None:
        """Calls cudaMemcpy; CUDA infers the direction from the addresses."""
        default = 4  # cudaMemcpyDefault
        runtime = _runtime()
        _check(runtime.cudaSetDevice(self.device_id), "cudaSetDevice")
        code = runtime.cudaMemcpy(
            ctypes.c_void_p(to), ctypes.c_void_p(source), ctypes.c_size_t(n_bytes), ctypes.c_int(default)
        )
        _check(code, "cudaMemcpy")


@cache
def _runtime() -> ctypes.CDLL:
    return ctypes.CDLL(_LIBRARIES[sys.platform][1])


def _check(code: int, call: str) -> None:
    if code:
        raise RuntimeError(f"{call} failed with CUDA error {code}")


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
