"""Prometheus metrics of one application."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

DURATIONS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
POWERS_OF_TWO = tuple(float(2**n) for n in range(11))


class Metrics:
    """All metrics, in a registry of their own so that two applications in one process stay apart."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.requests = Counter("gan_requests", "Requests answered.", ["method", "route", "status"], registry=registry)
        self.request_seconds = Histogram(
            "gan_request_duration_seconds",
            "Time from a request's first byte to its answer's last.",
            ["method", "route"],
            buckets=DURATIONS,
            registry=registry,
        )
        self.batch_items = Histogram(
            "gan_batch_items", "Items that ran together.", ["model"], buckets=POWERS_OF_TWO, registry=registry
        )
        self.inference_seconds = Histogram(
            "gan_inference_duration_seconds",
            "Time of one batch in ONNX Runtime.",
            ["model"],
            buckets=DURATIONS,
            registry=registry,
        )
        self.queue_seconds = Histogram(
            "gan_queue_duration_seconds",
            "Time a request waited for its first batch.",
            ["model"],
            buckets=DURATIONS,
            registry=registry,
        )
        self.queue_depth = Gauge("gan_queue_depth", "Requests waiting for a model.", ["model"], registry=registry)
        self.rejected = Counter(
            "gan_queue_rejections", "Requests not served, by reason.", ["model", "reason"], registry=registry
        )
        self.model_info = Gauge(
            "gan_model_info",
            "Models that are served; always 1.",
            ["model", "version", "task", "provider", "sha256"],
            registry=registry,
        )
        self.device_fallback = Gauge(
            "gan_device_fallback",
            "1 when device=auto found no working GPU and models run on the CPU.",
            registry=registry,
        )
