"""GPU metrics from the NVIDIA driver, read at every scrape. Without a driver there are none."""

import logging
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

log = logging.getLogger("service")


class GpuCollector(Collector):
    """Memory and utilisation of every GPU, by NVML's index. No series where NVML is missing or fails."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._nvml: ModuleType | None = None
        self._missing = False
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Returns the metrics without values."""
        return families()

    def collect(self) -> Iterator[Metric]:
        """Returns the metrics with their current values."""
        try:
            metrics = used, total, utilization = families()
            for index, memory, share in self._devices():
                used.add_metric([index], memory.used)
                total.add_metric([index], memory.total)
                utilization.add_metric([index], share)
        except Exception as error:  # NVML raises its own class, an old driver causes an AttributeError
            log.debug("no GPU metrics: %s", error)
            return
        yield from (metric for metric in metrics if metric.samples)

    def _devices(self) -> Iterator[tuple[str, Any, float]]:
        """Yields (index, memory in bytes, share of the last sample period in which a kernel ran) of each GPU."""
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
        except Exception:  # as above, or the package is not installed
            self._missing = True  # a driver does not appear while the process runs
            raise
        return pynvml


def families() -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
    """Returns the metrics for used memory, total memory and utilisation, without samples."""
    return (
        GaugeMetricFamily("gan_gpu_memory_used_bytes", "GPU memory in use by all processes.", labels=["device"]),
        GaugeMetricFamily("gan_gpu_memory_total_bytes", "GPU memory.", labels=["device"]),
        GaugeMetricFamily(
            "gan_gpu_utilization_ratio",
            "Share of NVML's last sample period in which a kernel ran.",
            labels=["device"],
        ),
    )
