import pytest

from service.engine.failures import reason_of

NODE = "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Conv node. Name:'node_conv2d' "


@pytest.mark.parametrize(
    "text",
    [
        NODE + "CUDA failure 2: out of memory ; GPU=0 ; hostname=a ; expr=cudaMalloc((void**)&p, size);",
        NODE + "Status Message: Failed to allocate memory for requested buffer of size 1073741824",
        "Available memory of 1024 is smaller than requested bytes of 4096",
        NODE + "CUDNN failure 2000: CUDNN_STATUS_ALLOC_FAILED ; GPU=0",
        NODE + "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0",
        "std::bad_alloc",
        "bad allocation",
    ],
)
def test_a_failed_allocation_is_out_of_memory(text: str) -> None:
    assert reason_of(RuntimeError(text)) == "out_of_memory"


def test_pythons_own_memory_error_is_out_of_memory() -> None:
    assert reason_of(MemoryError()) == "out_of_memory"


@pytest.mark.parametrize(
    "text",
    [
        NODE + "CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=a",
        NODE + "CUDA failure 719: unspecified launch failure ; GPU=0",
        NODE + "CUDA failure 214: uncorrectable ECC error encountered ; GPU=0",
        "CUDA failure 100: no CUDA-capable device is detected",
        "CUDA failure 46: CUDA-capable device(s) is/are busy or unavailable ; GPU=0",
        "CUDA failure 4: driver shutting down ; GPU=0",
        "CUDA failure 999: unknown error ; GPU=0",
        "GPU 0000:01:00.0 has fallen off the bus",
        "CUDA error 710: device-side assert triggered",
    ],
)
def test_what_ends_the_cuda_context_is_a_lost_device(text: str) -> None:
    assert reason_of(RuntimeError(text)) == "device_lost"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Got invalid dimensions for input: z for the following indices",
        "CUDA failure 1: invalid argument ; GPU=0",
        "CUDA failure 7000: no such code",
        NODE + "CUDNN failure 3000: CUDNN_STATUS_NOT_SUPPORTED ; GPU=0",
        "a memory access pattern",
        "2 results of 3 rows",
    ],
)
def test_anything_else_is_other(text: str) -> None:
    assert reason_of(RuntimeError(text)) == "other"


def test_an_allocation_that_failed_with_a_lost_device_is_called_out_of_memory() -> None:
    assert reason_of(RuntimeError("CUDA failure 700: illegal memory access; then: out of memory")) == "out_of_memory"
