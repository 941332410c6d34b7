"""Servers under test: starts them, reads their CPU time, stops them with all their child processes."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.serving.load_generators import Work

START_SECONDS = 90
STOP_SECONDS = 8
TICKS = os.sysconf("SC_CLK_TCK")


class ServerError(Exception):
    """A server did not start; the message names its log file."""


class Server:
    """A command that serves HTTP on 127.0.0.1:port."""

    def __init__(
        self, name: str, command: list[str], port: int, environment: dict[str, str], cwd: Path, log: Path
    ) -> None:
        self.name, self.url, self._log, self._port = name, f"http://127.0.0.1:{port}", log, port
        self._command, self._environment, self._cwd = command, environment, cwd
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, probes: list[Work]) -> None:
        """Starts the server and waits until each probe gets status 200. Raises ServerError."""
        if _taken(self._port):  # another server there would be measured in place of this one
            raise ServerError(f"{self.name}: port {self._port} is taken, choose others with --port")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                env={**os.environ, **self._environment},
                cwd=self._cwd,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        until = time.monotonic() + START_SECONDS
        while not all(self.responds(probe) for probe in probes):
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise ServerError(f"{self.name} does not respond, see {self._log}")
            time.sleep(0.3)

    def responds(self, work: Work) -> bool:
        """Whether one request gets status 200."""
        body = work.files[0].read_bytes() if work.files else None
        headers = {"Content-Type": work.content_type} if work.content_type else {}
        if work.tensor_head:
            headers["Inference-Header-Content-Length"] = str(work.tensor_head)
        connection = http.client.HTTPConnection(str(urlsplit(self.url).netloc), timeout=30)
        try:
            connection.request(work.method, work.path, body, headers)
            response = connection.getresponse()
            response.read()
            return response.status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def cpu_seconds(self) -> float:
        """CPU time of the server and its descendants."""
        return sum(map(cpu_seconds_of, self._family()))

    def pause(self) -> None:
        """Suspends the server: some servers poll while they are idle, which would slow the others down.

        Triton is left running: it exits when a backend does not respond.
        """
        if self.name == "triton":
            return
        _signal(self._family(), signal.SIGSTOP)

    def resume(self) -> None:
        """Continues a paused server."""
        _signal(self._family(), signal.SIGCONT)

    def stop(self) -> None:
        """Terminates the server and its descendants, and kills those that remain."""
        if self._process is None:
            return
        self.resume()
        family = self._family()
        for end in (signal.SIGTERM, signal.SIGKILL):
            _signal(family, end)
            until = time.monotonic() + STOP_SECONDS
            while self._process.poll() is None or any(map(_alive, family)):
                if time.monotonic() > until:
                    break
                time.sleep(0.1)
            else:
                break
        self._process = None

    def _family(self) -> list[int]:
        if self._process is None:
            return []
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (fields := _stat(int(entry.name))):
                children.setdefault(int(fields[1]), []).append(int(entry.name))
        family = [self._process.pid]
        for pid in family:  # the list grows during the loop
            family += children.get(pid, [])
        return family


def _taken(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _stat(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the state on; empty when the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return []


def cpu_seconds_of(pid: int) -> float:
    """CPU time of one process; 0 when it has ended."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICKS if fields else 0.0


def _alive(pid: int) -> bool:
    fields = _stat(pid)
    return bool(fields) and fields[0] != "Z"
