"""The command in a process of its own: two ports, clashes, the drain."""

import asyncio
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.api.security import HEADERS

PATIENCE_S = 30.0
PROBES = ["/healthz/live", "/healthz/ready", "/healthz/startup"]


class Process:
    """`gan-serve` on free ports; `public` and `management` are its addresses."""

    def __init__(self, models: Path, *flags: str) -> None:
        command = [sys.executable, "-m", "service", "--port", "0", "--device", "cpu", "--models", str(models), *flags]
        self.running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.management = self._address("management port") if "--management-port" in flags else None
        self.public = self._address("service running")

    def _address(self, what: str) -> str:
        assert self.running.stderr
        line = next((line for line in self.running.stderr if what in line), "")
        address = re.search(r"http://[\d.]+:\d+", line)
        assert address, line
        return address[0]

    def get(self, address: str | None, path: str) -> httpx.Response:
        return httpx.get(f"{address}{path}", trust_env=False, timeout=PATIENCE_S)

    def end(self) -> tuple[int, str]:
        """Exit status and what it still said."""
        assert self.running.stderr
        said = self.running.stderr.read()
        return self.running.wait(PATIENCE_S), said


@pytest.fixture
def started(models: Path) -> Iterator[Callable[..., Process]]:
    """`started(*flags)`: a running process, killed when the test ends."""
    processes: list[Process] = []

    def start(*flags: str) -> Process:
        processes.append(Process(models, *flags))
        return processes[-1]

    yield start
    for process in processes:
        process.running.kill()
        process.running.wait()
        assert process.running.stderr
        process.running.stderr.close()


def test_the_limit_of_open_files_is_raised_as_far_as_it_goes(started: Callable[..., Process]) -> None:
    soft, hard = resource.prlimit(started().running.pid, resource.RLIMIT_NOFILE)
    assert soft == hard == resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def test_the_management_port_takes_metrics_and_probes_off_the_public_one(started: Callable[..., Process]) -> None:
    process = started("--management-port", "0")
    for path in (*PROBES, "/metrics"):
        assert process.get(process.management, path).status_code == 200
        response = process.get(process.public, path)
        assert response.status_code == 404
        assert response.json()["type"] == "urn:gan:problem:not-found"
    assert process.get(process.public, "/mnist/sample").status_code == 200
    response = process.get(process.management, "/mnist/sample")
    assert response.status_code == 404
    assert response.json()["request_id"] == response.headers["x-request-id"]
    assert 'route="/mnist/sample"' in process.get(process.management, "/metrics").text


@pytest.mark.parametrize(("trusted", "statuses"), [(None, [200, 429]), ("127.0.0.1", [200, 200])])
def test_a_client_cannot_choose_its_address_unless_a_proxy_is_trusted(
    started: Callable[..., Process], monkeypatch: pytest.MonkeyPatch, trusted: str | None, statuses: list[int]
) -> None:
    if trusted:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", trusted)
    process = started("--rate-limit", "1/hour")
    found = [
        httpx.get(f"{process.public}/mnist/sample", headers={"X-Forwarded-For": f"203.0.113.{n}"}, trust_env=False)
        for n in (1, 2)
    ]
    assert [response.status_code for response in found] == statuses


def test_a_connection_may_idle_for_longer_than_a_few_seconds(started: Callable[..., Process]) -> None:
    process = started()
    host, port = process.public.removeprefix("http://").split(":")
    request = f"GET /mnist/sample HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    with socket.create_connection((host, int(port)), PATIENCE_S) as connection:
        for pause in (0, 6):
            time.sleep(pause)
            connection.sendall(request)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_one_port_serves_everything_unless_told(started: Callable[..., Process]) -> None:
    process = started()
    assert [process.get(process.public, path).status_code for path in (*PROBES, "/metrics")] == [200] * 4


def test_every_response_has_the_security_headers_and_does_not_name_the_server(started: Callable[..., Process]) -> None:
    process = started("--management-port", "0")
    for address, path in [
        *(
            (process.public, path)
            for path in ("/", "/docs", "/mnist/sample", "/models", "/nowhere", "/mnist/sample?n=1")
        ),
        *((process.management, path) for path in ("/metrics", "/healthz/live", "/nowhere")),
    ]:
        headers = process.get(address, path).headers
        assert {name: headers.get_list(name) for name, _ in HEADERS} == {name: [value] for name, value in HEADERS}
        assert "server" not in headers


def test_every_log_line_is_json_when_configured(started: Callable[..., Process]) -> None:
    process = started("--log-format", "json")
    process.get(process.public, "/mnist/sample")
    process.running.terminate()
    status, said = process.end()
    lines = [json.loads(line) for line in said.splitlines()]
    assert status == 0
    assert {"uvicorn.error", "service.access"} <= {line["logger"] for line in lines}
    assert [line["route"] for line in lines if line["logger"] == "service.access"] == ["/mnist/sample"]


def test_a_signal_during_the_start_is_not_lost(models: Path) -> None:
    """Process 1 of a container gets only those that it catches."""
    command = [sys.executable, "-m", "service", "--port", "0", "--device", "cpu", "--models", str(models)]
    starting = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + PATIENCE_S
    while not catches(starting.pid, signal.SIGTERM):
        assert time.monotonic() < until
        time.sleep(0.001)
    starting.terminate()
    _, said = starting.communicate(timeout=PATIENCE_S)
    assert (starting.returncode, "service running" in said) == (128 + signal.SIGTERM, False)


def catches(pid: int, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (number - 1) & 1)


def exchange(process: Process, *parts: bytes) -> bytes:
    """Everything that the service sends to a client that reads nothing before it has sent everything."""
    host, port = process.public.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), PATIENCE_S) as connection:
        for part in parts:
            connection.sendall(part)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_client_that_sends_all_of_a_refused_body_reads_why(started: Callable[..., Process]) -> None:
    body = bytes(40 * 2**20)
    head = f"POST /translate/horse2zebra HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: {len(body)}"
    response = exchange(started(), f"{head}\r\n\r\n".encode(), body)
    assert response.startswith(b"HTTP/1.1 413 ")
    assert b"send a smaller or more compressed image" in response


def test_a_client_that_waits_to_send_its_body_is_refused_for_good(
    started: Callable[..., Process],
) -> None:
    head = b"POST /translate/horse2zebra HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n"
    response = exchange(started(), head + b"Expect: 100-continue\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 415 ")
    assert b"connection: close" in response


class SlowUpload:
    """A translation whose body comes in two halves, so that it is accepted and not finished in between."""

    def __init__(self, address: str, image: bytes) -> None:
        host, port = address.removeprefix("http://").split(":")
        self._connection, self._rest = socket.create_connection((host, int(port)), PATIENCE_S), image[100:]
        head = f"POST /translate/horse2zebra HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/png\r\n"
        self._connection.sendall(f"{head}Content-Length: {len(image)}\r\n\r\n".encode() + image[:100])

    def finish(self) -> bytes:
        self._connection.sendall(self._rest)
        return self.response()

    def hang_up(self) -> None:
        self._connection.close()

    def response(self) -> bytes:
        received = b""
        while chunk := self._connection.recv(65536):  # the server closes: it is stopping
            received += chunk
        self._connection.close()
        return received


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_client_that_hangs_up_leaves_nothing_in_flight(
    started: Callable[..., Process], encoded: Any, noise: Any
) -> None:
    process = started()

    def shows(sample: str) -> Callable[[], bool]:
        return lambda: sample in process.get(process.public, "/metrics").text

    upload = SlowUpload(process.public, encoded(noise(40, 40), "png"))
    until(shows("gan_requests_in_flight 1.0"))
    upload.hang_up()
    until(shows("gan_requests_in_flight 0.0"))
    assert shows('gan_requests_total{outcome="cancelled",route="/translate/{direction}"} 1.0')()


@pytest.fixture
def draining(started: Callable[..., Process], encoded: Any, noise: Any) -> Callable[..., tuple[Process, SlowUpload]]:
    """`draining(*flags)`: a process that has got SIGTERM while a request's body was on its way, and the request."""

    def begin(*flags: str) -> tuple[Process, SlowUpload]:
        process = started("--management-port", "0", *flags)
        upload = SlowUpload(process.public, encoded(noise(40, 40), "png"))
        until(lambda: "gan_requests_in_flight 1.0" in process.get(process.management, "/metrics").text)
        process.running.send_signal(signal.SIGTERM)
        return process, upload

    return begin


def refuses(address: str) -> bool:
    try:
        httpx.get(address, trust_env=False, timeout=1)
    except httpx.ConnectError:
        return True
    except httpx.HTTPError:
        pass
    return False


def test_the_drain_can_be_observed_and_finishes_accepted_requests(
    draining: Callable[..., tuple[Process, SlowUpload]],
) -> None:
    process, upload = draining()
    until(lambda: process.get(process.management, "/healthz/ready").status_code == 503)
    assert process.get(process.management, "/healthz/ready").json()["type"] == "urn:gan:problem:draining"
    assert process.get(process.management, "/healthz/live").status_code == 200
    until(lambda: refuses(process.public))
    assert "gan_requests_in_flight 1.0" in process.get(process.management, "/metrics").text
    response = upload.finish()
    assert response.startswith(b"HTTP/1.1 200 OK")
    assert b"\x89PNG" in response
    assert process.end()[0] == 0
    assert refuses(str(process.management))


@pytest.mark.parametrize("reuse", [False, True], ids=["new connections", "kept connections"])
def test_every_accepted_connection_gets_its_response(started: Callable[..., Process], reuse: bool) -> None:
    process = started()
    seen: list[int | str] = []

    async def ask(busy: asyncio.Event) -> None:
        """Asks again and again until the door is closed."""
        limits = httpx.Limits(max_keepalive_connections=1 if reuse else 0)
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_S, limits=limits) as client:
            while True:
                try:
                    seen.append((await client.get(f"{process.public}/mnist/sample?count=100")).status_code)
                    if len(seen) == 100:
                        busy.set()
                except httpx.ConnectError:
                    seen.append("refused")
                    return
                except httpx.HTTPError as error:
                    seen.append(repr(error))
                    return

    async def ask_together() -> None:
        busy = asyncio.Event()
        clients = [asyncio.create_task(ask(busy)) for _ in range(24)]
        await busy.wait()
        process.running.send_signal(signal.SIGTERM)
        await asyncio.gather(*clients)

    asyncio.run(ask_together())
    assert Counter(seen) == {200: len(seen) - 24, "refused": 24}
    assert process.end()[0] == 0


def test_the_drain_ends_after_shutdown_seconds(draining: Callable[..., tuple[Process, SlowUpload]]) -> None:
    start = time.monotonic()
    process, upload = draining("--shutdown-seconds", "1")
    status, said = process.end()
    response = upload.response()
    assert (status, response[:12]) == (0, b"HTTP/1.1 503")
    assert b"urn:gan:problem:draining" in response
    assert 1 <= time.monotonic() - start < PATIENCE_S
    assert said.count("1 running task") == 1
    assert "Traceback" not in said


def test_ctrl_c_ends_it_too(started: Callable[..., Process]) -> None:
    process = started("--management-port", "0")
    process.running.send_signal(signal.SIGINT)
    status, said = process.end()
    assert status == 0
    assert "Traceback" not in said


def test_a_second_ctrl_c_waits_for_nothing(draining: Callable[..., tuple[Process, SlowUpload]]) -> None:
    process, upload = draining()
    until(lambda: process.get(process.management, "/healthz/ready").status_code == 503)
    process.running.send_signal(signal.SIGINT)
    status, said = process.end()
    assert status == 128 + signal.SIGINT
    assert "Traceback" not in said
    upload.hang_up()


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize(("flag", "setting"), [("--port", "GAN_PORT"), ("--management-port", "GAN_MANAGEMENT_PORT")])
def test_a_port_in_use_is_reported_in_one_line(models: Path, taken: int, flag: str, setting: str) -> None:
    command = [sys.executable, "-m", "service", "--models", str(models), "--device", "cpu", "--port", "0"]
    result = subprocess.run([*command, flag, str(taken)], capture_output=True, text=True, timeout=PATIENCE_S)
    assert result.returncode == 2
    assert result.stderr == (
        f"gan-serve: {setting}: cannot listen on 127.0.0.1:{taken}: {os.strerror(98)}; "
        "choose another port, or stop the process that uses it\n"
    )
