"""Spans as they leave the process: OTLP over HTTP, decoded from the wire."""

import contextvars
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.telemetry import tracing
from service.telemetry.tracing import trace_id_of

PATIENCE_S = 30.0
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_nothing_is_traced_unless_the_environment_says_where_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(tracing.ENDPOINT, raising=False)
    with tracing.exporting():
        assert not tracing.enabled()
        assert tracing.span_ids() is None
        tracing.record_stage("queue", 1.0, {})
        requests = iter([contextvars.copy_context()])
        tracing.record_batch("m/1", 1, 1.0, requests)
        assert len(list(requests)) == 1  # not even looked at


def test_without_the_extra_the_command_says_what_to_install(models: Path) -> None:
    block = "import sys; sys.modules['opentelemetry.exporter'] = None; from service.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", block, "--models", str(models), "--port", "0"],
        env={**os.environ, tracing.ENDPOINT: "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert result.returncode == 2
    assert result.stderr.startswith("gan-serve: OTEL_EXPORTER_OTLP_ENDPOINT is set, but opentelemetry.exporter")
    assert "gan-serving[tracing]" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.fixture
def bodies() -> Iterator[tuple[str, list[tuple[str, str, bytes]]]]:
    """(address, received): something that takes OTLP over HTTP, and (path, content type, body) of what came."""
    received: list[tuple[str, str, bytes]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, self.headers["Content-Type"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{receiver.server_port}", received
        receiver.shutdown()


@contextmanager
def serving(models: Path, endpoint: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(address, log lines, complete in the end) of a service that exports its spans."""
    command = [sys.executable, "-m", "service", "--port", "0", "--device", "cpu", "--models", str(models)]
    environment = {**os.environ, tracing.ENDPOINT: endpoint, "OTEL_SERVICE_NAME": "under-test", "NO_PROXY": "*"}
    log: list[dict[str, Any]] = []
    with subprocess.Popen(
        [*command, "--log-format", "json"], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr
            for line in process.stderr:
                log.append(json.loads(line))
                if "service running" in log[-1]["message"]:
                    break
            yield log[-1]["message"].split()[-1], log
            process.send_signal(signal.SIGTERM)
            log += [json.loads(line) for line in process.stderr]
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()


@pytest.fixture
def exported(bodies: tuple[str, list[tuple[str, str, bytes]]], models: Path) -> Callable[..., tuple[Any, ...]]:
    """`exported(ask)`: (spans by name, resource, log) of what `ask(client)` causes."""
    pytest.importorskip("opentelemetry.sdk", reason="the extra 'tracing' is not installed")
    service_pb2 = pytest.importorskip(
        "opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason="opentelemetry-proto is not installed"
    )

    def run(ask: Callable[[httpx.Client], object]) -> tuple[Any, ...]:
        endpoint, received = bodies
        with (
            serving(models, endpoint) as (address, log),
            httpx.Client(base_url=address, trust_env=False, timeout=PATIENCE_S) as client,
        ):
            ask(client)
        assert {(path, kind) for path, kind, _ in received} == {("/v1/traces", "application/x-protobuf")}
        spans: dict[str, list[Any]] = {}
        for _, _, body in received:
            for resource in service_pb2.ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        spans.setdefault(span.name, []).append(span)
        return spans, {a.key: a.value.string_value for a in resource.resource.attributes}, log

    return run


def test_a_collector_that_is_not_there_costs_no_request_and_little_time_at_the_end(models: Path) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="the extra 'tracing' is not installed")
    with serving(models, "http://127.0.0.1:9") as (address, log):
        assert httpx.get(f"{address}/mnist/sample", trust_env=False).status_code == 200
        stopped = time.monotonic()
    assert time.monotonic() - stopped < tracing.FLUSH_SECONDS + 4
    assert all(line["logger"].startswith("opentelemetry.") for line in log if line["level"] in ("warning", "error"))


def attributes(span: Any) -> dict[str, Any]:
    return {a.key: a.value.string_value or a.value.int_value for a in span.attributes}


def test_a_translations_stages_are_spans_of_its_request(
    exported: Callable[..., tuple[Any, ...]], encoded: Any, noise: Any
) -> None:
    def ask(client: httpx.Client) -> None:
        headers = {"Content-Type": "image/png", "traceparent": f"00-{TRACE}-{PARENT}-01"}
        client.post("/translate/horse2zebra?format=webp", content=encoded(noise(40, 40), "png"), headers=headers)
        client.get("/healthz/ready")
        client.get("/metrics")

    spans, resource, log = exported(ask)
    assert (resource["service.name"], resource["service.version"]) == ("under-test", "0.1.0")
    assert {name: len(found) for name, found in spans.items()} == {
        "POST /translate/{direction}": 1,
        "gan.decode": 1,
        "gan.queue": 1,
        "gan.inference": 1,
        "gan.encode": 1,
        "gan.batch": 1,
    }
    (request,) = spans["POST /translate/{direction}"]
    (batch,) = spans["gan.batch"]
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    stages = [spans[f"gan.{stage}"][0] for stage in ("decode", "queue", "inference", "encode")]
    for stage in stages:
        assert (stage.trace_id, stage.parent_span_id) == (request.trace_id, request.span_id)
        assert request.start_time_unix_nano <= stage.start_time_unix_nano <= stage.end_time_unix_nano
    ends = [stage.end_time_unix_nano for stage in stages]
    assert ends == sorted(ends)
    assert attributes(stages[0]) == {"gan.format": "png"}
    assert attributes(stages[3]) == {"gan.format": "webp"}
    assert attributes(batch) == {"gan.model": "horse2zebra/1", "gan.batch.items": 1}
    (line,) = [line for line in log if line["logger"] == "service.access"]
    assert (line["trace_id"], line["span_id"]) == (TRACE, request.span_id.hex())


def test_a_trace_that_its_caller_does_not_sample_has_no_spans(exported: Callable[..., tuple[Any, ...]]) -> None:
    def ask(client: httpx.Client) -> None:
        client.get("/mnist/sample", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
        client.get("/models", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})

    spans, _, log = exported(ask)
    assert list(spans) == ["GET /models"]
    assert [line["trace_id"] for line in log if line["logger"] == "service.access"] == [TRACE, TRACE]


def test_a_batch_is_linked_to_the_requests_that_shared_it(exported: Callable[..., tuple[Any, ...]]) -> None:
    def ask(client: httpx.Client) -> None:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda _: client.get("/mnist/sample?count=64"), range(32)))

    spans, _, _ = exported(ask)
    requests = {span.span_id: span for span in spans["GET /mnist/sample"]}
    assert len(requests) == len({span.trace_id for span in requests.values()}) == 32
    batches = {span.span_id: span for span in spans["gan.batch"]}
    linked = [link.span_id for batch in batches.values() for link in batch.links]
    assert len(linked) == len(spans["gan.inference"])
    assert set(linked) == set(requests)
    for inference in spans["gan.inference"]:
        (link,) = inference.links
        batch = batches[link.span_id]
        assert inference.parent_span_id in {other.span_id for other in batch.links}
        assert inference.trace_id == requests[inference.parent_span_id].trace_id


# trace ids from headers


TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize("flags", ["00", "01", "ff"])
def test_a_valid_header_names_its_trace(flags: str) -> None:
    assert trace_id_of([f"00-{TRACE}-{PARENT}-{flags}".encode()]) == TRACE


@pytest.mark.parametrize("more", ["", "-", "-what-comes-later"])
def test_a_later_version_may_say_more(more: str) -> None:
    assert trace_id_of([f"01-{TRACE}-{PARENT}-01{more}".encode()]) == TRACE


@pytest.mark.parametrize(
    "header",
    [
        "",
        TRACE,
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}-01-",
        f"ff-{TRACE}-{PARENT}-01",
        f"0-{TRACE}-{PARENT}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE[1:]}-{PARENT}-01",
        f"00-{TRACE}0-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{PARENT}-0g",
        f"00_{TRACE}_{PARENT}_01",
        f" 00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\n",
        f"01-{TRACE}-{PARENT}-01.more",
    ],
)
def test_anything_else_names_none(header: str) -> None:
    assert trace_id_of([header.encode()]) is None


def test_neither_no_header_nor_two_name_a_trace() -> None:
    assert trace_id_of([]) is None
    assert trace_id_of([f"00-{TRACE}-{PARENT}-01".encode()] * 2) is None
