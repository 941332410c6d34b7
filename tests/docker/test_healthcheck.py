"""What HEALTHCHECK runs, as a process against a real socket."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

HEALTHCHECK = Path(__file__).parents[2] / "docker" / "healthcheck.py"


@pytest.fixture
def server():
    class Ready(BaseHTTPRequestHandler):
        status, asked = 200, []

        def do_GET(self):
            self.asked.append(self.path)
            self.send_response(self.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    Ready.asked = []
    with HTTPServer(("127.0.0.1", 0), Ready) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield listening, Ready
        listening.shutdown()


def status(**environment):
    return subprocess.run([sys.executable, HEALTHCHECK], env=environment, timeout=20, capture_output=True).returncode


@pytest.mark.parametrize("variable", ["GAN_MANAGEMENT_PORT", "GAN_PORT"])
def test_ready_is_healthy(server, variable):
    listening, handler = server
    assert status(**{variable: str(listening.server_port)}) == 0
    assert handler.asked == ["/healthz/ready"]


def test_the_management_port_comes_first(server):
    assert status(GAN_MANAGEMENT_PORT=str(server[0].server_port), GAN_PORT="1") == 0


def test_not_ready_is_unhealthy(server):
    server[1].status = 503
    assert status(GAN_PORT=str(server[0].server_port)) == 1


def test_nobody_there_is_unhealthy():
    assert status(GAN_MANAGEMENT_PORT="1") == 1
