"""A service in a process of its own, and what the system and /metrics say about it."""

import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.footprint import family, resident_bytes

PATIENCE_SECONDS = 60.0
"""A start, an end or a return to rest that takes longer is a failure."""


class Service:
    """`gan-serve` on the CPU with two ports of the system's choice."""

    def __init__(self, log: Path, *flags: str, prefix: Sequence[str] = ()) -> None:
        """Starts it. `log`: file for its log. `prefix`: a command that runs it, such as prlimit."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("GAN_", "OTEL_"))}
        command = [sys.executable, "-m", "service", "--port", "0", "--management-port", "0", "--device", "cpu"]
        self.log = log
        with log.open("wb") as file:
            self._process = subprocess.Popen([*prefix, *command, *flags], stderr=file, env=environment)
        self.management, self.port = (self._port(kind) for kind in ("management port running", "service running"))

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def resident_bytes(self) -> int:
        """Resident memory of the process and its codec processes."""
        return resident_bytes(self.pid)

    @property
    def descriptors(self) -> int:
        """Open file descriptors."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @property
    def children(self) -> list[int]:
        """Ids of its codec processes and trials."""
        return family(self.pid)[1:]

    def get(self, path: str, management: bool = False) -> tuple[int, bytes]:
        """Returns status and body of a GET."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.management if management else self.port, timeout=PATIENCE_SECONDS
        )
        with contextlib.closing(connection):
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()

    def metrics(self) -> dict[str, float]:
        """Returns every series of /metrics by its name with labels."""
        lines = self.get("/metrics", management=True)[1].decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    def unrest(self) -> dict[str, float]:
        """Returns the gauges of requests in flight, queues and codecs that are not zero."""
        gauges = ("gan_requests_in_flight", "gan_queue_depth", "gan_codec_jobs")
        return {name: value for name, value in self.metrics().items() if name.startswith(gauges) and value}

    def rests(self) -> list[str]:
        """Waits until no request is left. Returns what is still not zero after PATIENCE_SECONDS, as text."""
        until = time.monotonic() + PATIENCE_SECONDS
        while (unrest := self.unrest()) and time.monotonic() < until:
            time.sleep(0.05)
        return [f"{name} stayed at {value:g}" for name, value in unrest.items()]

    def signal(self, number: int) -> None:
        """Sends the process a signal."""
        self._process.send_signal(number)

    def stop(self) -> int:
        """Ends it by SIGTERM, or by SIGKILL after PATIENCE_SECONDS. Returns the exit status."""
        self._process.terminate()
        try:
            return self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _port(self, kind: str) -> int:
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            if found := re.search(rf"{kind} on http://127\.0\.0\.1:(\d+)", self.log.read_text()):
                return int(found[1])
            time.sleep(0.02)
        self._process.kill()
        raise RuntimeError(f"the service did not start: {self.log.read_text()[-2000:]}")


@contextlib.contextmanager
def serving(folder: Path, *flags: str, prefix: Sequence[str] = ()) -> Iterator[Service]:
    """Runs the service inside the block, with its log in `folder`."""
    service = Service(folder / "service.log", *flags, prefix=prefix)
    try:
        yield service
    finally:
        if service.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(service.pid, signal.SIGCONT)
            service.stop()
