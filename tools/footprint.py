"""Measures what one replica needs: memory, CPU time and seconds to start. The resources in the manifests come from it.

    .venv/bin/python -m tools.footprint --seconds 20

Starts the service with the bundled models on this machine's CPU, sends one kind of load after another, and prints a
Markdown table. Memory is the resident set of the service and its child processes, as Linux reports it: the peak during
the load, of readings 20 ms apart, and what remains after it. The exit status is 1 when any response was not 200.
"""

import argparse
import asyncio
import contextlib
import io
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
from PIL import Image

TIMEOUT_S = 120
"""Timeout of the clients and of the service: long, so that a busy machine is only slower."""
MIB = 2**20
SAMPLE_S = 0.02
"""Time between two readings of the memory. Codecs hold a large image for longer."""
TICKS_A_SECOND, PAGE_BYTES = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Load:
    """One kind of load: each of `clients` repeats its request as soon as it has a response."""

    name: str
    route: str
    pixels: tuple[int, int] | None
    """Width and height of the uploaded image; None for digits."""
    clients: int
    kind: str = "image/jpeg"
    """Media type of the image: image/jpeg is a photograph, image/png a transparent drawing."""


LOADS = (
    Load("1,024 digits", "/mnist/sample?count=1024&seed=1", None, 8),
    Load("256x256 translated, one client", "/translate/horse2zebra", (256, 256), 1),
    Load("256x256 translated", "/translate/horse2zebra", (256, 256), 64),
    Load("256x256 translated back", "/translate/zebra2horse", (256, 256), 64),
    Load("12-megapixel photographs translated", "/translate/horse2zebra", (4000, 3000), 64),
    Load("12-megapixel photographs translated, detail=off", "/translate/horse2zebra?detail=off", (4000, 3000), 64),
    Load("24-megapixel photographs translated", "/translate/horse2zebra", (6000, 4000), 8),
    Load("48-megapixel photographs translated", "/translate/horse2zebra", (8064, 6048), 8),
    Load("52-megapixel transparent PNGs translated", "/translate/horse2zebra", (8320, 6240), 8, "image/png"),
    Load("1600x1200 translated at size=native", "/translate/horse2zebra?size=native", (1600, 1200), 8),
    Load("1600x1200 translated back at size=native", "/translate/zebra2horse?size=native", (1600, 1200), 8),
)


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    lists = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # the thread has ended
            lists.append((task / "children").read_text().split())
    children = [int(child) for found in lists for child in found]
    return [pid, *(relative for child in children for relative in family(child))]


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and its descendants; shared pages count more than once."""
    return sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in family(pid)) * PAGE_BYTES


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its descendants, user and system."""
    fields = [Path(f"/proc/{relative}/stat").read_text().rpartition(")")[2].split() for relative in family(pid)]
    return sum(int(one[11]) + int(one[12]) for one in fields) / TICKS_A_SECOND


def photograph(size: tuple[int, int]) -> bytes:
    """A JPEG with about as many bytes as a photograph: soft shapes with some grain."""
    shapes = Image.effect_noise((size[0] // 16, size[1] // 16), 64).resize(size)
    grain = Image.effect_noise(size, 16)
    buffer = io.BytesIO()
    Image.blend(shapes, grain, 0.3).convert("RGB").save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def drawing(size: tuple[int, int]) -> bytes:
    """A transparent PNG with a few more bytes than a drawing: squares of different opacities."""
    small = (size[0] // 50, size[1] // 50)
    bands = [Image.effect_noise(small, 64).resize(size, Image.Resampling.NEAREST) for _ in "RGBA"]
    buffer = io.BytesIO()
    Image.merge("RGBA", bands).save(buffer, "PNG")
    return buffer.getvalue()


@contextlib.contextmanager
def service(port: int, *options: str) -> Iterator[tuple[int, float]]:
    """Runs the service, by default with its bundled models; yields its process id and its seconds until ready."""
    start = time.monotonic()
    command = [sys.executable, "-m", "service", "--port", str(port), "--device", "cpu", "--log-level", "warning"]
    process = subprocess.Popen([*command, "--timeout-seconds", str(TIMEOUT_S), *options])
    try:
        while True:
            if process.poll() is not None:
                raise RuntimeError(f"the service ended with status {process.returncode}")
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{port}/healthz/ready").is_success:
                    break
            time.sleep(0.05)
        yield process.pid, time.monotonic() - start
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


async def run(load: Load, port: int, seconds: float) -> list[int]:
    """Runs the clients of a load; returns the statuses of all responses."""
    image = photograph if load.kind == "image/jpeg" else drawing
    body = image(load.pixels) if load.pixels else None
    headers = {"Content-Type": load.kind} if body else {}
    statuses: list[int] = []
    limits = httpx.Limits(max_connections=load.clients)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=TIMEOUT_S, limits=limits) as http:
        until = time.monotonic() + seconds

        async def client() -> None:
            while time.monotonic() < until:
                method = "POST" if body else "GET"
                statuses.append((await http.request(method, load.route, content=body, headers=headers)).status_code)

        await asyncio.gather(*(client() for _ in range(load.clients)))
    return statuses


def measure(load: Load, pid: int, port: int, seconds: float) -> tuple[str, bool]:
    """Returns the row of a load, and whether all responses were 200."""
    before = cpu_seconds(pid)
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(asyncio.run, run(load, port, seconds))
        peak = 0.0
        while not running.done():  # the peaks of several processes are not at the same time
            peak = max(peak, resident_bytes(pid) / MIB)
            time.sleep(SAMPLE_S)
        statuses = running.result()
    used, after = cpu_seconds(pid) - before, resident_bytes(pid) / MIB
    row = f"| {load.name} | {load.clients} | {len(statuses)} | {peak:.0f} | {after:.0f} | {used / len(statuses):.3f} |"
    return row, set(statuses) == {200}


def main() -> None:
    """Reads the command line, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--seconds", type=float, default=20, help="of each load")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}\n", flush=True)
    print("| load | clients | responses | peak MiB | MiB after | CPU seconds a response |\n|---|---|---|---|---|---|")
    good = True
    with service(arguments.port) as (pid, seconds_to_ready):
        print(f"| none | 0 | | {resident_bytes(pid) / MIB:.0f} | {resident_bytes(pid) / MIB:.0f} | |")
        for load in LOADS:
            row, succeeded = measure(load, pid, arguments.port, arguments.seconds)
            good &= succeeded
            print(row, flush=True)
        print(f"\nReady {seconds_to_ready:.1f} s after the start.")
    sys.exit(not good)


if __name__ == "__main__":
    main()
