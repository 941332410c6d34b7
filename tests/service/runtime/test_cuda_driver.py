import ctypes
import sys
from collections.abc import Callable

import onnxruntime as ort
import pytest

from service.runtime import cuda_driver

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="libraries are named as on Linux")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`machine(*absent)`: every shared library loads but these."""

    def pretend(*absent: str) -> None:
        def load(name: str, *args: object) -> object:
            if name in absent:
                raise OSError(name)
            return object()

        monkeypatch.setattr(ort, "get_available_providers", lambda: [cuda_driver.PROVIDER])
        monkeypatch.setattr(ort, "preload_dlls", lambda: print("noise"))
        monkeypatch.setattr(ctypes, "CDLL", load)

    return pretend


def test_a_missing_part_is_named_on_this_machine(capfd: pytest.CaptureFixture[str]) -> None:
    missing = cuda_driver.missing_part()
    assert missing is None or len(missing.split()) > 3
    assert capfd.readouterr() == ("", "")


def test_a_runtime_without_cuda_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert "built without CUDA" in str(cuda_driver.missing_part())


@LINUX
def test_a_missing_driver_is_named(machine: Callable[..., None]) -> None:
    machine("libcuda.so.1")
    assert "no NVIDIA driver" in str(cuda_driver.missing_part())


@LINUX
def test_missing_libraries_are_named_and_the_extra_that_has_them(machine: Callable[..., None]) -> None:
    machine("libcudnn.so.9", "libcufft.so.12")
    missing = str(cuda_driver.missing_part())
    assert missing.startswith("libcudnn.so.9, libcufft.so.12 cannot be loaded")
    assert "requirements/cuda.txt" in missing


@LINUX
def test_a_complete_machine_misses_nothing_and_prints_nothing(
    machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    machine()
    monkeypatch.setattr(cuda_driver, "device_count", lambda: 2)
    assert cuda_driver.missing_part() is None
    assert capfd.readouterr().out == ""


@LINUX
def test_libraries_without_a_gpu_that_they_can_use_are_not_enough(
    machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine()

    def too_old() -> int:
        raise RuntimeError("cudaGetDeviceCount failed with CUDA error 35")

    monkeypatch.setattr(cuda_driver, "device_count", too_old)
    assert "CUDA error 35" in str(cuda_driver.missing_part())
    monkeypatch.setattr(cuda_driver, "device_count", lambda: 0)
    assert "no GPU" in str(cuda_driver.missing_part())
