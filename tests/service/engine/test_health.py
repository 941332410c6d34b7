import asyncio

import pytest

from service.engine import health
from service.engine.health import FAILURES_IN_A_ROW, HANG_SECONDS, Health, failure_reason

pytestmark = pytest.mark.anyio


class Model:
    """Fails its probes until it is mended."""

    def __init__(self) -> None:
        self.now, self.works = 0.0, False
        self.probed = asyncio.Semaphore(0)
        """Grows with every probe."""
        self.health = Health(self.probe, lambda: self.now)

    async def probe(self) -> None:
        self.health.record(self.works)
        self.probed.release()
        if not self.works:
            raise RuntimeError

    def fail(self, times: int) -> None:
        for _ in range(times):
            self.health.record(False)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setattr(health, "PROBE_SECONDS", 0.001)
    return Model()


async def test_failures_in_a_row_mark_a_model_and_a_success_between_them_does_not(model: Model) -> None:
    model.fail(FAILURES_IN_A_ROW - 1)
    model.health.record(True)
    model.fail(FAILURES_IN_A_ROW - 1)
    assert model.health.failing_seconds is None
    model.fail(1)
    model.now = 3.0
    assert model.health.failing_seconds == 3.0
    model.health.stop()


async def test_a_run_that_does_not_end_marks_a_model_until_it_does(model: Model) -> None:
    with model.health.running(object()):
        model.now = HANG_SECONDS - 1
        assert model.health.failing_seconds is None
        with model.health.running(object()):
            model.now = HANG_SECONDS + 3
            assert model.health.failing_seconds == 3.0
        model.fail(FAILURES_IN_A_ROW)
        model.now += 2
        assert model.health.failing_seconds == 5.0
    assert model.health.failing_seconds == 2.0
    model.health.record(True)
    assert model.health.failing_seconds is None
    model.health.stop()


async def test_a_broken_model_is_tried_until_it_works_and_then_no_more(model: Model) -> None:
    model.fail(FAILURES_IN_A_ROW)
    for works in (False, False, True):
        model.works = works
        await asyncio.wait_for(model.probed.acquire(), 10)
        assert (model.health.failing_seconds is None) == works
    await asyncio.sleep(0.02)
    assert model.probed.locked()


async def test_a_model_that_works_is_not_tried(model: Model) -> None:
    model.fail(FAILURES_IN_A_ROW - 1)
    await asyncio.sleep(0.02)
    assert model.probed.locked()  # never released


async def test_attempts_end_with_the_service(model: Model) -> None:
    model.fail(FAILURES_IN_A_ROW)
    model.health.stop()
    await asyncio.sleep(0.02)
    assert model.probed.locked()  # never released


# reasons of failures


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
    assert failure_reason(RuntimeError(text)) == "out_of_memory"


def test_pythons_own_memory_error_is_out_of_memory() -> None:
    assert failure_reason(MemoryError()) == "out_of_memory"


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
def test_an_error_that_ends_the_cuda_context_is_a_lost_device(text: str) -> None:
    assert failure_reason(RuntimeError(text)) == "device_lost"


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
    assert failure_reason(RuntimeError(text)) == "other"


def test_an_allocation_that_failed_with_a_lost_device_is_called_out_of_memory() -> None:
    assert (
        failure_reason(RuntimeError("CUDA failure 700: illegal memory access; then: out of memory")) == "out_of_memory"
    )
