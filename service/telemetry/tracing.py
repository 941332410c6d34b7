"""OpenTelemetry spans of a request's stages: queue, inference, decode, encode. FastAPI makes the request's own span.

Tracing is off unless OTEL_EXPORTER_OTLP_ENDPOINT is set when the process starts; then each function here only reads
one variable. The other OTEL_ variables have the meaning that OpenTelemetry's SDK documents.
"""

import os
import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import Context as ContextVariables
from importlib.metadata import version

from opentelemetry import trace
from opentelemetry.context import Context

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"

FLUSH_SECONDS = 3.0
"""How long a stopping process waits for its last spans to be exported."""

_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")

_tracer: trace.Tracer | None = None


class TracingError(Exception):
    """Tracing is configured but not possible; the message says what to do."""


@contextmanager
def exporting() -> Iterator[None]:
    """Exports spans inside the block if the environment names an endpoint. Raises TracingError without the extra."""
    global _tracer
    if not os.environ.get(ENDPOINT):
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TracingError(
            f"{ENDPOINT} is set, but {error.name} is not installed: pip install 'gan-serving[tracing]', or unset it"
        ) from error
    name = os.environ.get("OTEL_SERVICE_NAME", "gan-serving")
    resource = Resource.create({"service.name": name, "service.version": version("gan-serving")})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    _tracer = provider.get_tracer("service")
    yield
    flush = threading.Thread(target=provider.shutdown, daemon=True)  # it waits half a minute for a lost collector
    flush.start()
    flush.join(FLUSH_SECONDS)


def enabled() -> bool:
    """Returns whether spans are made."""
    return _tracer is not None


def span_ids() -> tuple[str, str] | None:
    """Returns the current request's trace and span ids; None when no spans are made."""
    if _tracer is None:
        return None
    context = trace.get_current_span().get_span_context()
    return (
        (trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)) if context.is_valid else None
    )


def trace_id_of(traceparents: list[bytes]) -> str | None:
    """Returns the trace id in a request's `traceparent` headers; None unless there is exactly one, and valid.

    Follows https://www.w3.org/TR/trace-context/: version 00 has exactly four parts, later versions may have more.
    """
    if len(traceparents) != 1:
        return None
    match = _TRACEPARENT.fullmatch(traceparents[0])
    if match is None:
        return None
    version, trace_id, parent_id, more = match.groups()
    if version == b"ff" or (version == b"00" and more is not None):
        return None
    if not trace_id.strip(b"0") or not parent_id.strip(b"0"):
        return None
    return trace_id.decode()


def name_request(method: str, route: str) -> None:
    """Names the current request's span after its route."""
    if _tracer is not None:
        span = trace.get_current_span()
        span.update_name(f"{method} {route}")
        span.set_attribute("http.route", route)


def record_stage(
    name: str, seconds: float, attributes: dict[str, str | int], within: ContextVariables | None = None
) -> None:
    """Records a span that ends now, in the current request or in the one of the context variables `within`."""
    if _tracer is not None and (span := _span_of(within)).is_recording():  # otherwise its trace is not sampled
        _record(_tracer, name, seconds, attributes, span)


def record_batch(model: str, items: int, seconds: float, requests: Iterable[ContextVariables]) -> None:
    """Records a batch that ends now: a span of its own, and one in each of its requests, linked to each other."""
    if _tracer is None:
        return
    attributes: dict[str, str | int] = {"gan.model": model, "gan.batch.items": items}
    spans = [span for span in map(_span_of, requests) if span.is_recording()]
    if not spans:
        return
    batch = _record(_tracer, "batch", seconds, attributes, None, spans)
    for span in spans:
        _record(_tracer, "inference", seconds, attributes, span, [batch])


def _span_of(within: ContextVariables | None) -> trace.Span:
    return trace.get_current_span() if within is None else within.run(trace.get_current_span)


def _record(
    tracer: trace.Tracer,
    name: str,
    seconds: float,
    attributes: dict[str, str | int],
    parent: trace.Span | None,
    linked: Iterable[trace.Span] = (),
) -> trace.Span:
    end = time.time_ns()
    context = Context() if parent is None else trace.set_span_in_context(parent, Context())
    links = [trace.Link(span.get_span_context()) for span in linked]
    start = end - int(seconds * 1e9)
    span = tracer.start_span(f"gan.{name}", context, attributes=attributes, links=links, start_time=start)
    span.end(end)
    return span
