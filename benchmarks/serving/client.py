"""Compares `gan-client translate` with the service's saturated throughput, and watches the client's memory.

    python -m benchmarks.serving.client --photographs 2000

Starts the service with the bundled models on this machine's CPU and lets gan-client translate a folder of photographs,
crops of the one in docs/images. The client is paused in turn, and wrk then sends some of the same photographs with as
many requests in flight. Both rates come from the service's own counter, in windows that begin after the load has.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.report import processor, table
from benchmarks.serving.load_generators import HERE, parse_wrk
from benchmarks.serving.payloads import crops
from benchmarks.serving.servers import cpu_seconds_of
from tools.footprint import MIB, resident_bytes, service

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


def rate(http: httpx.Client, seconds: float) -> float:
    """Translations a second in the next `seconds`."""
    time.sleep(SETTLE_S)
    began, before = time.monotonic(), translated(http)
    time.sleep(seconds)
    return (translated(http) - before) / (time.monotonic() - began)


def wrk_rate(http: httpx.Client, files: list[Path], seconds: float) -> float:
    """Translations a second under wrk."""
    duration = round(seconds + 2 * SETTLE_S)
    command = ["wrk", "-t1", f"-c{IN_FLIGHT}", f"-d{duration}s", "--timeout", "30s", "-s", str(HERE / "wrk.lua")]
    url = str(http.base_url.join(f"/translate/{DIRECTION}"))
    arguments = ["--", "POST", "application/octet-stream", "-", *map(str, files)]
    with subprocess.Popen([*command, url, *arguments], stdout=subprocess.PIPE, text=True) as process:
        found = rate(http, seconds)
        said, _ = process.communicate()
    if parse_wrk(said).failed:
        raise RuntimeError(f"wrk had failures: {said}")
    time.sleep(SETTLE_S)
    return found


def compare(http: httpx.Client, source: Path, out: Path, seconds: float) -> None:
    """Runs the client to its end, wrk in between, and prints the ratios and the client's memory."""
    files = sorted(source.iterdir())
    address = str(http.base_url).rstrip("/")
    command = [sys.executable, "-m", "gan_client", "translate", str(source), str(out), "--url", address]
    limit = ["--concurrency", str(IN_FLIGHT), "--timeout", "120"]
    before = wrk_rate(http, files[:WRK_FILES], seconds / 2)
    ratios, memory, cpu, base = [], [], 0.0, translated(http)
    with subprocess.Popen([*command, *limit]) as client:
        others = 0  # translations that wrk asked for
        while True:
            found = rate(http, seconds)
            if client.poll() is not None:
                break
            cpu = cpu_seconds_of(client.pid)
            done = translated(http) - base - others
            memory.append((done, resident_bytes(client.pid) / MIB))
            os.kill(client.pid, signal.SIGSTOP)
            time.sleep(SETTLE_S)
            start = translated(http)
            after = wrk_rate(http, files[:WRK_FILES], seconds / 2)
            others += translated(http) - start
            os.kill(client.pid, signal.SIGCONT)
            ratios.append(found / statistics.mean((before, after)))
            print(f"{done} images: {found:.2f}/s beside {before:.2f} and {after:.2f}", file=sys.stderr)
            before = after
    if client.returncode:
        raise RuntimeError(f"gan-client ended with status {client.returncode}")
    missing = len(files) - sum(1 for path in out.rglob("*.jpg"))
    kept = memory[:: max(1, len(memory) // READINGS)]
    print(f"{processor()}, {os.cpu_count()} cores; {len(files):,} photographs, {missing} missing afterwards\n")
    print(f"gan-client at {statistics.median(ratios):.2f} of wrk's rate (median of {len(ratios)} rounds in turn,")
    print(f"quartiles {' and '.join(f'{q:.2f}' for q in statistics.quantiles(ratios, n=4)[::2])})")
    print(f"gan-client used {1000 * cpu / memory[-1][0]:.1f} ms of processor time an image\n")
    print(*table(["images done", "resident memory, MiB"], [[f"{n:,}", f"{mib:.1f}"] for n, mib in kept]), sep="\n")


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=20, help="length of a window; wrk's are half as long")
    parser.add_argument("--port", type=int, default=18_500)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, service(given.port):
        source, out = Path(scratch) / "photographs", Path(scratch) / "out"
        source.mkdir()
        write_photographs(source, given.photographs)
        with httpx.Client(base_url=f"http://127.0.0.1:{given.port}", timeout=60) as http:
            compare(http, source, out, given.seconds)


if __name__ == "__main__":
    main()
