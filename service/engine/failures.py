"""Why a model failed, from the text of ONNX Runtime's exception: it has no codes for what happens on a device."""

import re
from typing import Literal

Reason = Literal["out_of_memory", "device_lost", "other"]

_OUT_OF_MEMORY = re.compile(
    r"out of memory|failed to allocate memory|bad[ _]alloc|_ALLOC_FAILED|MemoryAllocation"
    r"|available memory of \d+ is smaller than requested",
    re.IGNORECASE,
)
_DEVICE_LOST = re.compile(
    # CUDA's codes after which nothing runs in the process any more: driver unloading, no device, uncorrectable memory
    # or link errors, illegal address, instruction or stack, time-out, assertion, launch failure, system trouble
    r"CUDA (?:failure|error) (?:4|46|100|101|214|220|226|700|702|709|710|71[4-9]|802|999)\b"
    r"|illegal memory access|unspecified launch failure|uncorrectable ECC|device-side assert|driver shutting down"
    r"|no CUDA-capable device|devices? (?:is|are) (?:busy|lost|removed)|fallen off the bus|device (?:lost|removed)",
    re.IGNORECASE,
)


def reason_of(error: BaseException) -> Reason:
    """Memory first: a failed allocation is often reported with a CUDA code too, and passes by itself."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(text):
        return "out_of_memory"
    return "device_lost" if _DEVICE_LOST.search(text) else "other"
