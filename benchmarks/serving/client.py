"""Compares `gan-client translate` with the service's saturated throughput, and watches the client's memory.

    python -m benchmarks.serving.client --photographs 2000

Starts the service with the bundled models on this machine's CPU and lets gan-client translate a folder of photographs,
crops of the one in docs/images. The client is paused in turn, and wrk then sends some of the same photographs with as
many requests in flight. Both rates come from the service's own counter, in windows that begin after the load has. On a
machine that does other work too, images a second of processor time, service and generator together, are steadier.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.report import processor, table
from benchmarks.serving.load_generators import HERE, parse_wrk
from benchmarks.serving.payloads import crops
from benchmarks.serving.servers import cpu_seconds_of
from tools.footprint import MIB, cpu_seconds, resident_bytes, service

IN_FLIGHT = 16
SETTLE_S = 2.0
"""Time from the start of a load until it is measured, and for the service to empty its queue after one."""
WRK_FILES = 64
"""Photographs that wrk sends in turn; every four have all sizes."""
DIRECTION = "horse2zebra"
SIZES = ((256, 256), (256, 192), (192, 256), (256, 171))
"""Width and height of the photographs: small ones, beside whose translation the client's own work is largest."""
READINGS = 6


def write_photographs(folder: Path, number: int) -> None:
    """Writes `number` JPEGs of mixed sizes."""
    for n, body in enumerate(crops(SIZES, number)):
        (folder / f"{n:06}.jpg").write_bytes(body)


def translated(http: httpx.Client) -> int:
    """Translations that the service has made, by its own counter."""
    total = 0.0
    for line in http.get("/metrics").text.splitlines():
        if line.startswith("gan_requests_total{") and 'outcome="ok"' in line and "/translate" in line:
            total += float(line.rpartition(" ")[2])
    return round(total)


@dataclass(frozen=True)
class Window:
    """What the service did in a window of time."""

    images: int
    seconds: float
    cpu_seconds: float
    """Processor time of the service and of the load generator."""

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds

    @property
    def cpu_an_image(self) -> float:
        """Processor time an image, in seconds: its inverse is the rate that the processor's whole time would give."""
        return self.cpu_seconds / self.images


class Bench:
    """A running service, and the photographs."""

    def __init__(self, http: httpx.Client, pid: int, files: list[Path], seconds: float) -> None:
        self.http, self._pid, self._files, self._seconds = http, pid, files, seconds

    def window(self, generator: int) -> Window:
        """Measures the load that the process `generator` makes."""
        time.sleep(SETTLE_S)
        began, images, cpu = time.monotonic(), translated(self.http), self._cpu(generator)
        time.sleep(self._seconds)
        return Window(translated(self.http) - images, time.monotonic() - began, self._cpu(generator) - cpu)

    def _cpu(self, generator: int) -> float:
        return cpu_seconds(self._pid) + cpu_seconds_of(generator)

    def wrk(self) -> Window:
        """Measures the load of wrk."""
        duration = round(self._seconds + 2 * SETTLE_S)
        command = ["wrk", "-t1", f"-c{IN_FLIGHT}", f"-d{duration}s", "--timeout", "30s", "-s", str(HERE / "wrk.lua")]
        url = str(self.http.base_url.join(f"/translate/{DIRECTION}"))
        arguments = ["--", "POST", "application/octet-stream", "-", *map(str, self._files[:WRK_FILES])]
        with subprocess.Popen([*command, url, *arguments], stdout=subprocess.PIPE, text=True) as process:
            found = self.window(process.pid)
            said, _ = process.communicate()
        if parse_wrk(said).failed:
            raise RuntimeError(f"wrk had failures: {said}")
        time.sleep(SETTLE_S)
        return found


def compare(bench: Bench, source: Path, out: Path) -> None:
    """Runs the client to its end, wrk in between, and prints the ratios and the client's memory."""
    command = [sys.executable, "-m", "gan_client", "translate", str(source), str(out), "--timeout", "120"]
    options = ["--url", str(bench.http.base_url).rstrip("/"), "--concurrency", str(IN_FLIGHT)]
    before = bench.wrk()
    rates, costs, memory = list[float](), list[float](), list[tuple[int, float]]()
    with subprocess.Popen([*command, *options]) as client:
        while True:
            found = bench.window(client.pid)
            if client.poll() is not None:
                break
            memory.append((sum(1 for _ in out.rglob("*.jpg")), resident_bytes(client.pid) / MIB))
            os.kill(client.pid, signal.SIGSTOP)
            time.sleep(SETTLE_S)
            after = bench.wrk()
            os.kill(client.pid, signal.SIGCONT)
            rates.append(found.rate / statistics.mean((before.rate, after.rate)))
            costs.append(statistics.mean((before.cpu_an_image, after.cpu_an_image)) / found.cpu_an_image)
            print(f"{memory[-1][0]} images: rate {rates[-1]:.2f}, processor time {costs[-1]:.3f}", file=sys.stderr)
            before = after
    if client.returncode:
        raise RuntimeError(f"gan-client ended with status {client.returncode}")
    missing = len(list(source.iterdir())) - sum(1 for _ in out.rglob("*.jpg"))
    print(f"{processor()}, {os.cpu_count()} cores; {missing} photographs have no translation afterwards\n")
    rows = [
        [
            name,
            f"{statistics.median(found):.2f}",
            " to ".join(f"{q:.2f}" for q in statistics.quantiles(found, n=4)[::2]),
        ]
        for name, found in (("images a second", rates), ("images a second of processor time", costs))
    ]
    print(*table([f"gan-client / wrk, {len(rates)} rounds in turn", "median", "quartiles"], rows), sep="\n")
    kept = memory[:: max(1, len(memory) // READINGS)]
    print()
    print(*table(["images done", "resident memory, MiB"], [[f"{n:,}", f"{mib:.1f}"] for n, mib in kept]), sep="\n")


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=10, help="length of a window")
    parser.add_argument("--port", type=int, default=18_500)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, service(given.port) as (pid, _):
        source, out = Path(scratch) / "photographs", Path(scratch) / "out"
        source.mkdir()
        write_photographs(source, given.photographs)
        with httpx.Client(base_url=f"http://127.0.0.1:{given.port}", timeout=60) as http:
            compare(Bench(http, pid, sorted(source.iterdir()), given.seconds), source, out)


if __name__ == "__main__":
    main()
