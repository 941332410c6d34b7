"""Prometheus metrics of one application.

Clients cannot add series: a route is one of the application's templates or "other", a status is one that the
application sends, a model is one that is loaded, a key is one of the first hundred names or "other".
"""

import platform
from functools import cache
from importlib.metadata import version
from typing import Literal, get_args

import onnxruntime as ort
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from service.telemetry.gpu_metrics import GpuCollector

# without a second series per counter and histogram that only holds its start time
disable_created_metrics()  # type: ignore[no-untyped-call]  # the client has no types for it

Outcome = Literal["ok", "rejected", "cancelled", "deadline", "bad_input", "failed"]
"""How a request ended."""
FailureReason = Literal["out_of_memory", "device_lost", "other"]
"""Why a model failed."""

Lane = Literal["light", "heavy"]
"""Kind of codec work: light work takes milliseconds."""
CodecRefusal = Literal["costly", "busy"]
"""Why an image is not decoded, to protect other requests."""

ModelChange = Literal["loaded", "refused", "unloaded"]
"""What happened to a version in the models folder while the service ran."""

COUNTED_KEYS = 100
"""Names of API keys that have series of their own."""

REQUEST_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Buckets from one digit on an idle machine to the longest timeout."""
STAGE_SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Buckets from a digit's PNG to a batch of large images on a small CPU."""
POWERS_OF_TWO = tuple(float(2**n) for n in range(11))


class Metrics:
    """All metrics, in a registry of their own: a process may hold two applications."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GpuCollector(registry)

        self.requests = Counter(
            "gan_requests", "Requests that have ended, by outcome.", ["route", "outcome"], registry=registry
        )
        self.request_seconds = Histogram(
            "gan_request_duration_seconds",
            "Time from a request's head to the end of its response; status 499: the client disconnected.",
            ["route", "status"],
            buckets=REQUEST_SECONDS,
            registry=registry,
        )
        self.key_requests = Counter(
            "gan_key_requests",
            "Requests with an API key that have ended; key other: those of all names after the first hundred.",
            ["key", "outcome"],
            registry=registry,
        )
        self.requests_in_flight = Gauge(
            "gan_requests_in_flight", "Requests that have begun and not ended.", registry=registry
        )

        self.queue_depth = Gauge(
            "gan_queue_depth",
            "Requests queued for a model, including those whose images are being decoded.",
            ["model"],
            registry=registry,
        )
        self.queue_seconds = Histogram(
            "gan_queue_duration_seconds",
            "Time from queueing a request to its first batch.",
            ["model"],
            buckets=STAGE_SECONDS,
            registry=registry,
        )
        self.batch_items = Histogram(
            "gan_batch_items", "Items in a batch.", ["model"], buckets=POWERS_OF_TWO, registry=registry
        )
        self.inference_seconds = Histogram(
            "gan_inference_duration_seconds",
            "Time of one batch in ONNX Runtime.",
            ["model"],
            buckets=STAGE_SECONDS,
            registry=registry,
        )
        self.inference_failures = Counter(
            "gan_inference_failures", "Requests on which a model failed.", ["model", "reason"], registry=registry
        )
        self.decode_seconds = Histogram(
            "gan_decode_duration_seconds",
            "Time from an uploaded image's bytes to a model's input.",
            ["format"],
            buckets=STAGE_SECONDS,
            registry=registry,
        )
        self.encode_seconds = Histogram(
            "gan_encode_duration_seconds",
            "Time from a model's output to the response's bytes.",
            ["format"],
            buckets=STAGE_SECONDS,
            registry=registry,
        )

        self.codec_jobs = Gauge(
            "gan_codec_jobs",
            "Images that are being decoded or encoded or wait for that; lane heavy: large ones and unusual files.",
            ["lane"],
            registry=registry,
        )
        self.codec_refusals = Counter(
            "gan_codec_refusals",
            "Uploads that were not decoded; reason costly: made to take long, busy: too many heavy ones waited.",
            ["reason"],
            registry=registry,
        )
        for refusal in get_args(CodecRefusal):
            self.codec_refusals.labels(refusal)

        self.model_info = Gauge(
            "gan_model_info",
            "Loaded models; always 1.",
            ["model", "version", "task", "provider", "precision", "sha256"],
            registry=registry,
        )
        self.model_changes = Counter(
            "gan_model_changes",
            "Versions that were loaded, refused or unloaded while the service ran.",
            ["change"],
            registry=registry,
        )
        for change in get_args(ModelChange):
            self.model_changes.labels(change)
        self.models_refused = Gauge(
            "gan_models_refused",
            "Versions in the models folder that are refused; /models says why.",
            registry=registry,
        )
        self.device_fallback = Gauge(
            "gan_device_fallback",
            "1 when device=auto found no working GPU and models run on the CPU.",
            registry=registry,
        )
        self.build_info = Gauge(
            "gan_build_info",
            "Versions that are running; always 1.",
            ["version", "onnxruntime", "python"],
            registry=registry,
        )
        self.build_info.labels(version("gan-serving"), ort.__version__, platform.python_version()).set(1)

        self._in_flight, self._keys = 0, set[str]()
        self.requests_in_flight.set_function(lambda: self._in_flight)
        # looking up a series by its labels takes longer than adding to it
        self._outcomes = cache(self._outcomes_of)
        self._key_requests = cache(self.key_requests.labels)
        self._request_seconds = cache(self.request_seconds.labels)
        self._batch_items = cache(self.batch_items.labels)
        self._inference_seconds = cache(self.inference_seconds.labels)
        self._codec_seconds = {"decode": cache(self.decode_seconds.labels), "encode": cache(self.encode_seconds.labels)}

    def expect_model(self, name: str) -> None:
        """Creates a model's series before their first event: a rate needs the zero before it."""
        self.queue_depth.labels(name)
        for reason in get_args(FailureReason):
            self.inference_failures.labels(name, reason)

    def forget_model(self, name: str) -> None:
        """Removes the series of a model that is no longer loaded."""
        for metric in (self.queue_depth, self.queue_seconds, self.batch_items, self.inference_seconds):
            metric.remove_by_labels({"model": name})
        self.inference_failures.remove_by_labels({"model": name})
        self._batch_items.cache_clear()  # a model of this name may come back
        self._inference_seconds.cache_clear()

    def request_begins(self) -> None:
        """Counts a request as in flight."""
        self._in_flight += 1

    def request_ends(self, route: str, status: int, outcome: Outcome, seconds: float) -> None:
        """Counts a request's outcome; to be called once for each `request_begins`."""
        self._in_flight -= 1
        self._outcomes(route)[outcome].inc()
        self._request_seconds(route, status).observe(seconds)

    def request_of_key(self, key: str, outcome: Outcome) -> None:
        """Counts the outcome of a request that came with the API key of this name."""
        if key not in self._keys:
            if len(self._keys) >= COUNTED_KEYS:
                key = "other"
            else:
                self._keys.add(key)
        self._key_requests(key, outcome).inc()

    def batch_ends(self, model: str, items: int, seconds: float) -> None:
        """Records a batch that a model has run."""
        self._batch_items(model).observe(items)
        self._inference_seconds(model).observe(seconds)

    def codec_ends(self, stage: Literal["decode", "encode"], format: str, seconds: float) -> None:
        """Records an image that was decoded or a response that was encoded."""
        self._codec_seconds[stage](format).observe(seconds)

    def _outcomes_of(self, route: str) -> dict[Outcome, Counter]:
        """Returns a counter for each outcome; all exist from the route's first request on."""
        return {outcome: self.requests.labels(route, outcome) for outcome in get_args(Outcome)}
