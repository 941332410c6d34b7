import asyncio
import io
import json
import logging
import re
import warnings
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.settings import Settings
from service.telemetry import logs
from service.telemetry.logs import RequestIds

Configure = Callable[..., None]
Lines = Callable[[], list[dict[str, Any]]]

IDS = RequestIds("quoted-by-client", "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
HEADERS = {"X-Request-Id": IDS.request_id, "traceparent": f"00-{IDS.trace_id}-b7ad6b7169203331-01"}


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def configure(stream: io.StringIO, logging_restored: None) -> Configure:
    """`configure(**settings)`: logs to the stream until the test ends."""
    return lambda **settings: logs.configure(Settings.model_validate(settings), stream)


@pytest.fixture
def lines(stream: io.StringIO) -> Lines:
    """`lines()`: what was logged, each line an object."""
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def in_request() -> Iterator[None]:
    token = logs.request_ids.set(IDS)
    yield
    logs.request_ids.reset(token)


def test_a_json_line_has_just_these_fields(configure: Configure, lines: Lines) -> None:
    configure(log_format="json")
    before = datetime.now(UTC)
    logging.getLogger("service").warning("%d of %s", 3, "four")
    (line,) = lines()
    stamp = line.pop("timestamp")
    assert line == {"level": "warning", "logger": "service", "message": "3 of four"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", stamp)
    assert abs((datetime.fromisoformat(stamp) - before).total_seconds()) < 5


@pytest.mark.parametrize("seconds", [0.0, 1.9996, 1_700_000_000.001, 1_700_000_000.0])
def test_the_timestamp_is_that_of_the_record(seconds: float) -> None:
    formatter = logs.JsonFormatter()
    for offset in (0, 1, 0, 3600):
        record = logging.LogRecord("a", logging.INFO, "", 0, "b", (), None)
        record.created = seconds + offset
        stamp = datetime.fromisoformat(json.loads(formatter.format(record))["timestamp"])
        assert 0 <= record.created - stamp.timestamp() < 0.0011


@pytest.mark.usefixtures("in_request")
def test_a_line_of_a_request_bears_its_ids(configure: Configure, lines: Lines) -> None:
    configure(log_format="json")
    logging.getLogger("anything").info("hello")
    assert {key: lines()[0][key] for key in IDS._fields} == IDS._asdict()


@pytest.mark.parametrize(
    "text", ['a "quoted" \\ word', "two\nlines\r", "\u2028 \u00e4 \U0001f993", "\x00\x1b[31m", "\ud800"]
)
def test_every_log_line_is_one_line_of_ascii(
    configure: Configure, stream: io.StringIO, lines: Lines, text: str
) -> None:
    configure(log_format="json")
    logging.getLogger("service").info("%s", text, extra={logs.FIELDS: {"also": text}})
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().isascii()
    assert (lines()[0]["message"], lines()[0]["also"]) == (text, text)


def test_an_exception_is_one_string(configure: Configure, lines: Lines) -> None:
    configure(log_format="json")
    try:
        raise ValueError("a\nb")
    except ValueError:
        logging.getLogger("service").exception("failed")
    (line,) = lines()
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("ValueError: a\nb")


def test_python_warnings_are_lines_too(configure: Configure, lines: Lines) -> None:
    configure(log_format="json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", stacklevel=1)
    assert lines()[-1]["logger"] == "py.warnings"


@pytest.mark.usefixtures("in_request")
def test_text_is_for_people(configure: Configure, stream: io.StringIO) -> None:
    configure()
    logging.getLogger("service").info("hello")
    assert re.fullmatch(r"[\d: ,-]+ INFO service: hello \[quoted-by-client\]\n", stream.getvalue())


@pytest.mark.parametrize(
    ("settings", "written"),
    [
        ({"log_format": "json"}, 1),
        ({"log_format": "json", "log_level": "warning"}, 0),
        ({"log_format": "text"}, 0),
        ({"log_format": "text", "log_level": "debug"}, 1),
    ],
)
def test_lines_of_requests_are_for_machines_and_for_debugging(
    configure: Configure, stream: io.StringIO, settings: dict[str, str], written: int
) -> None:
    configure(**settings)
    logs.log_access("GET", "/models", 200, "ok", 0.5, 12)
    assert stream.getvalue().count("\n") == written


@pytest.fixture
async def logging_client(
    configure: Configure,
    make_app: Callable[..., FastAPI],
    serve: Callable[[FastAPI], Awaitable[httpx.AsyncClient]],
) -> httpx.AsyncClient:
    configure(log_format="json")
    return await serve(make_app())


@pytest.mark.anyio
async def test_a_request_has_one_line(logging_client: httpx.AsyncClient, lines: Lines) -> None:
    response = await logging_client.get("/mnist/sample?seed=1", headers=HEADERS)
    (line,) = [line for line in lines() if line["logger"] == "service.access"]
    assert 0 < line.pop("duration_ms") < 30_000
    assert line["span_id"] != "b7ad6b7169203331"  # that is the caller's
    assert {key: line[key] for key in ("level", "method", "route", "status", "outcome", "bytes")} == {
        "level": "info",
        "method": "GET",
        "route": "/mnist/sample",
        "status": 200,
        "outcome": "ok",
        "bytes": len(response.content),
    }
    assert (line["request_id"], line["trace_id"]) == (IDS.request_id, IDS.trace_id)
    assert line["message"].startswith("GET /mnist/sample 200 ok ")


@pytest.mark.anyio
async def test_a_malformed_traceparent_begins_a_new_trace(logging_client: httpx.AsyncClient, lines: Lines) -> None:
    for _ in range(2):
        await logging_client.get("/models", headers={"traceparent": "00-nonsense"})
    traces = [line["trace_id"] for line in lines() if line["logger"] == "service.access"]
    assert len(set(traces)) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", trace) for trace in traces)


@pytest.mark.anyio
async def test_probes_and_scrapes_have_no_line(logging_client: httpx.AsyncClient, lines: Lines) -> None:
    await logging_client.get("/healthz/ready")
    await logging_client.get("/metrics")
    assert [line for line in lines() if line["logger"] == "service.access"] == []


@pytest.mark.anyio
async def test_neither_path_nor_method_of_a_stranger_gets_into_the_log(
    logging_client: httpx.AsyncClient, lines: Lines
) -> None:
    await logging_client.request("BREW", "/%22,%22admin%22:true")
    (line,) = [line for line in lines() if line["logger"] == "service.access"]
    assert (line["method"], line["route"], line["status"]) == ("OTHER", "other", 404)
    assert "admin" not in json.dumps(line)


@pytest.mark.anyio
async def test_what_a_model_says_about_a_request_bears_its_ids(
    gate: Any, logging_client: httpx.AsyncClient, lines: Lines
) -> None:
    gate.error = RuntimeError("broken")
    gate.opened.set()
    responses = await asyncio.gather(*(logging_client.get("/mnist/sample") for _ in range(4)))
    failed = [line for line in lines() if line["message"].startswith("mnist/1 failed")]
    assert sorted(line["request_id"] for line in failed) == sorted(a.headers["x-request-id"] for a in responses)
    assert all("RuntimeError: broken" in line["exception"] for line in failed)
