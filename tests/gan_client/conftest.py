"""A server that responds as a test tells it."""

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


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

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

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
