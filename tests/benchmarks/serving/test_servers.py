import socket
import sys
import time
from pathlib import Path

import pytest

from benchmarks.serving.load_generators import Work
from benchmarks.serving.servers import Server, ServerError

SERVE = """
import subprocess, sys, http.server
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("child", "w").write(str(child.pid))
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def state_of(process: int) -> str:
    """As /proc has it: T is stopped, Z dead and not yet waited for, - gone."""
    status = Path(f"/proc/{process}/stat")
    return status.read_text().split()[2] if status.exists() else "-"


def becomes(process: int, states: str) -> bool:
    """Whether the process gets into one of these states, which a signal takes a moment to do."""
    for _ in range(500):
        if state_of(process) in states:
            return True
        time.sleep(0.01)
    return False


def test_a_server_is_paused_resumed_and_ended_with_its_children(tmp_path: Path) -> None:
    port = free_port()
    server = Server("x", [sys.executable, "-c", SERVE, str(port)], port, {}, tmp_path, tmp_path / "log")
    server.start([Work("/child")])
    child = int((tmp_path / "child").read_text())
    server.pause()
    assert becomes(child, "T")
    server.resume()
    assert server.responds(Work("/child"))
    assert not server.responds(Work("/nothing"))
    assert server.cpu_seconds() > 0
    with pytest.raises(ServerError, match="taken"):
        Server("y", [sys.executable, "-c", "1/0"], port, {}, tmp_path, tmp_path / "other").start([Work("/child")])
    server.pause()
    server.stop()
    assert becomes(child, "Z-")


def test_a_server_that_ends_at_once_is_an_error_that_names_its_log(tmp_path: Path) -> None:
    server = Server("x", [sys.executable, "-c", "1/0"], free_port(), {}, tmp_path, tmp_path / "log")
    with pytest.raises(ServerError, match="log"):
        server.start([Work("/")])
    assert "ZeroDivisionError" in (tmp_path / "log").read_text()
