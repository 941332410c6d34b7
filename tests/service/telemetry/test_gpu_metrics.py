"""With a module in NVML's place: what it takes from the real one are the names and the meaning of five functions."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from service.telemetry.gpu_metrics import GpuCollector


class NVMLError(Exception):
    """What the real module raises."""


class FakeNvml(ModuleType):
    """A driver with two devices, until told to fail."""

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.inits, self.used, self.broken = 0, 1 << 30, ""

    def nvmlInit(self) -> None:
        self.inits += 1
        self._maybe_fail("init")

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
        self._maybe_fail("memory")
        return SimpleNamespace(total=80 << 30, free=0, used=self.used + handle)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(gpu=37, memory=5)

    def _maybe_fail(self, where: str) -> None:
        if self.broken == where:
            raise NVMLError("Driver Not Loaded")


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    GpuCollector(registry)
    return registry


def test_memory_and_utilisation_are_read_at_each_scrape(nvml: FakeNvml, registry: CollectorRegistry) -> None:
    for used in (5, 7):
        nvml.used = used
        assert registry.get_sample_value("gan_gpu_memory_used_bytes", {"device": "0"}) == used
        assert registry.get_sample_value("gan_gpu_memory_used_bytes", {"device": "1"}) == used + 1
    assert registry.get_sample_value("gan_gpu_memory_total_bytes", {"device": "1"}) == 80 << 30
    assert registry.get_sample_value("gan_gpu_utilization_ratio", {"device": "0"}) == 0.37
    assert nvml.inits == 1


def test_without_the_module_there_is_no_series(monkeypatch: pytest.MonkeyPatch, registry: CollectorRegistry) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert generate_latest(registry) == b""


def test_without_a_driver_there_is_no_series_and_no_second_try(nvml: FakeNvml, registry: CollectorRegistry) -> None:
    nvml.broken = "init"
    assert [generate_latest(registry) for _ in range(3)] == [b"", b"", b""]
    assert nvml.inits == 1


def test_a_failure_in_between_costs_its_scrape_only(nvml: FakeNvml, registry: CollectorRegistry) -> None:
    nvml.broken = "memory"
    assert generate_latest(registry) == b""
    nvml.broken = ""
    assert b"gan_gpu_utilization_ratio" in generate_latest(registry)
