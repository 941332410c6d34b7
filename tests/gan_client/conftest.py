"""The service with its bundled models in a process of its own, and a server that responds as a test tells it."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@contextmanager
def running(*options: str, port: int = 0) -> Iterator[str]:
    """Runs the service; yields its address."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GAN_", "OTEL_"))}
    command = [sys.executable, "-m", "service", "--port", str(port), "--device", "cpu", *options]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        for line in process.stderr:
            if found := re.search(r"service running on (http://\S+)", line):
                break
        else:
            raise AssertionError("the service did not start")
        reader = threading.Thread(target=process.stderr.read)  # or its pipe would fill
        reader.start()
        try:
            yield found[1]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            reader.join()


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Address of the service with its bundled models."""
    with running() as found:
        yield found


@pytest.fixture
def start() -> Callable[..., object]:
    """`with start(*options, port=0) as address`: a service with options of its own."""
    return running


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("GAN_"):
            monkeypatch.delenv(name)


@dataclass
class Script:
    """Responses in turn, the last one again and again; and the requests that came."""

    responses: list[tuple[int, dict[str, str], bytes]]
    url: str = ""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path and headers."""


@pytest.fixture
def scripted() -> Iterator[Callable[..., Script]]:
    """`scripted((status, headers, body), ...)`: a server of these responses; status 0 closes the connection."""
    servers: list[ThreadingHTTPServer] = []

    def serve(*responses: tuple[int, dict[str, str], bytes]) -> Script:
        script = Script(list(responses))

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, headers, body = script.responses[min(len(script.requests), len(script.responses) - 1)]
                script.requests.append((self.path, dict(self.headers)))
                if not status:
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        script.url = f"http://127.0.0.1:{server.server_address[1]}"
        return script

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()
