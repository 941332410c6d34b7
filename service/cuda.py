"""Whether CUDA works here and, when it does not, which part is missing."""

import contextlib
import ctypes
import io
import sys

import onnxruntime as ort

PROVIDER = "CUDAExecutionProvider"

#: What ONNX Runtime's CUDA 13 provider links or loads; the driver comes first, the rest is in the `cuda` extra.
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
    """None when a CUDA session can be tried, else what is missing, in words; prints nothing."""
    if PROVIDER not in ort.get_available_providers():
        return "this onnxruntime was built without CUDA; onnxruntime-gpu has it"
    driver, *libraries = _LIBRARIES[sys.platform]
    if not _loads(driver):
        return f"{driver} cannot be loaded, so there is no NVIDIA driver here"
    with contextlib.redirect_stdout(io.StringIO()):  # it prints failures; the check below names them
        ort.preload_dlls()
    absent = [name for name in libraries if not _loads(name)]
    if absent:
        return f"{', '.join(absent)} cannot be loaded; {_CURE[sys.platform]}"
    return None


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
