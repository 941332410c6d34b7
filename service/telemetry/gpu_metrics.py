"""What the NVIDIA driver says about its devices, asked anew at every scrape; silent where there is none."""

import logging
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

log = logging.getLogger("service")


class GpuCollector(Collector):
    """Memory and utilisation of every device, by NVML's index; no series where NVML is missing or fails."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._nvml: ModuleType | None = None
        self._missing = False
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """The metrics without values."""
        return families()

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        try:
            metrics = used, total, utilization = families()
            for index, memory, share in self._devices():
                used.add_metric([index], memory.used)
                total.add_metric([index], memory.total)
                utilization.add_metric([index], share)
        except Exception as error:  # NVML raises its own kind, an old driver an AttributeError
            log.debug("no GPU metrics: %s", error)
            return
        yield from (metric for metric in metrics if metric.samples)

    def _devices(self) -> Iterator[tuple[str, Any, float]]:
        """(index, memory in bytes, share of the last sample period in which a kernel ran) of each device."""
        if self._missing:
            return
        nvml = self._nvml = self._nvml or self._load()
        for index in range(nvml.nvmlDeviceGetCount()):
            device = nvml.nvmlDeviceGetHandleByIndex(index)
            share = nvml.nvmlDeviceGetUtilizationRates(device).gpu / 100
            yield str(index), nvml.nvmlDeviceGetMemoryInfo(device), share

    def _load(self) -> ModuleType:
        try:
            import pynvml

            pynvml.nvmlInit()
        except Exception:  # likewise, or there is no such package
            self._missing = True  # drivers do not appear while a process runs
            raise
        return pynvml


def families() -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
    """Memory used, memory, utilisation: without samples."""
    return (
        GaugeMetricFamily(
            "gan_gpu_memory_used_bytes", "Memory of the GPU in use, by all processes.", labels=["device"]
        ),
        GaugeMetricFamily("gan_gpu_memory_total_bytes", "Memory of the GPU.", labels=["device"]),
        GaugeMetricFamily(
            "gan_gpu_utilization_ratio",
            "Share of NVML's last sample period in which the GPU ran anything.",
            labels=["device"],
        ),
    )
