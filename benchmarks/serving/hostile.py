"""Measures what files that are made to take long do to others: four attackers send one in a loop, two people translate.

    python -m benchmarks.serving.hostile --seconds 20

Starts the service with the bundled models on this machine's CPU. Prints a Markdown table of the people's latency,
without attackers and with each file, and how the attackers' requests ended. The exit status is 1 when any person's
request was not served, or the 99th percentile is more than twice that without attackers. A file that is served is no
attack but work: it is compared with an ordinary one of its size. The attackers have a process of the lowest priority:
elsewhere they would run on other machines.
"""

import argparse
import http.client
import io
import multiprocessing
import os
import platform
import statistics
import struct
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

from PIL import Image

from benchmarks.report import table
from benchmarks.serving.payloads import crops
from tools.footprint import service

ATTACKERS, PEOPLE = 4, 2
ROUTE = "/translate/horse2zebra"
WARM_UP_SECONDS = 3.0
TIMEOUT_S = 60
ALLOWED = 2.0
"""Largest ratio of the 99th percentiles."""


def scans(size: tuple[int, int], count: int) -> bytes:
    """A progressive JPEG of one grey level whose last scan is repeated: `count` scans of some 60 bytes."""
    buffer = io.BytesIO()
    Image.new("L", size, 200).save(buffer, "JPEG", progressive=True)
    body = buffer.getvalue()
    last = body[body.rindex(b"\xff\xda") : -2]
    return body[:-2] + (count - body.count(b"\xff\xda")) * last + body[-2:]


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, between: bytes = b"") -> bytes:
    """A black grey PNG with chunks `between` its header and its pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes((width + 1) * height), 9))
    return b"\x89PNG\r\n\x1a\n" + header + between + pixels + chunk(b"IEND")


def photograph(size: tuple[int, int]) -> bytes:
    """An ordinary JPEG."""
    return crops((size,), 1)[0]


@dataclass(frozen=True)
class File:
    """What four clients send in a loop."""

    name: str
    make: Callable[[], bytes]
    like: str | None = None
    """Name of the ordinary file that a served one is compared with: its clients cost what other clients cost."""


SMALL, LARGE = "ordinary JPEG of 256x256", "ordinary JPEG of 4400x4400"
FILES = (
    File("JPEG of 3,000 scans", lambda: scans((4400, 4400), 3000)),
    File("PNG of 800,000 empty chunks", lambda: png(64, 64, 800_000 * chunk(b"teSt"))),
    File("PNG of 20,000 empty chunks", lambda: png(64, 64, 20_000 * chunk(b"teSt"))),
    File("PNG of 1 x 20,000,000", lambda: png(1, 20_000_000)),
    File(SMALL, lambda: photograph((256, 256)), SMALL),
    File(
        "PNG of 60 compressed texts of 1 MB",
        lambda: png(256, 256, 60 * chunk(b"zTXt", b"text\0\0" + zlib.compress(bytes(2**20)))),
        SMALL,
    ),
    File(LARGE, lambda: photograph((4400, 4400)), LARGE),
    File("JPEG of 64 scans of 4400x4400", lambda: scans((4400, 4400), 64), LARGE),
)


class Clients:
    """Threads that send one file each in a loop, over a connection each, until they are told to stop."""

    def __init__(self, port: int, files: list[bytes], timed: bool) -> None:
        self.statuses: Counter[int] = Counter()
        self.latencies: list[float] = []
        self._port, self._ending = port, threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(file, timed), daemon=True) for file in files]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Waits for the last responses."""
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _send(self, file: bytes, timed: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        kind = "image/png" if file.startswith(b"\x89PNG") else "image/jpeg"
        while not self._ending.is_set():
            start = time.perf_counter()
            try:
                connection.request("POST", ROUTE, file, {"Content-Type": kind})
                response = connection.getresponse()
                response.read()
                self.statuses[response.status] += 1
            except (OSError, http.client.HTTPException):
                connection.close()
                self.statuses[0] += 1
            if timed:
                self.latencies.append(time.perf_counter() - start)


def attack(port: int, file: bytes, orders: Connection) -> None:
    """Sends `file` in loops until there is an order; returns the statuses through it."""
    os.nice(19)
    clients = Clients(port, [file] * ATTACKERS, timed=False)
    orders.recv()
    clients.stop()
    orders.send(clients.statuses)


def measure(port: int, seconds: float, file: bytes | None) -> tuple[Clients, Counter[int]]:
    """Returns the people's responses, with attackers that send `file`, and the statuses of these."""
    attackers: Counter[int] = Counter()
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=attack, args=(port, file, theirs))
    if file is not None:
        process.start()
        time.sleep(WARM_UP_SECONDS)
    people = Clients(port, crops(((256, 256),), PEOPLE), timed=True)
    time.sleep(seconds)
    people.stop()
    if file is not None:
        ours.send("stop")
        attackers = ours.recv()
        process.join()
    return people, attackers


def main() -> None:
    """Reads the command line, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--seconds", type=float, default=20, help="of each load")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}\n", flush=True)
    rows, good, reference = [], True, dict[str | None, float]()
    with service(arguments.port) as _:
        measure(arguments.port, WARM_UP_SECONDS, None)
        for file in (None, *FILES):
            people, attackers = measure(arguments.port, arguments.seconds, file.make() if file else None)
            last = statistics.quantiles(people.latencies, n=100)[98]
            like = file.like if file else None
            reference.setdefault(like, last)
            ratio = last / reference[like]
            good &= set(people.statuses) == {200} and ratio <= ALLOWED
            sent = ", ".join(f"{count:,} x {status}" for status, count in sorted(attackers.items()))
            served = f"{people.statuses[200]} of {people.statuses.total()}"
            times = f"{statistics.median(people.latencies) * 1000:.0f}", f"{last * 1000:.0f}", f"{ratio:.2f}"
            rows.append([file.name if file else "none", served, *times, like or "none", sent])
            print(*rows[-1], sep=", ", file=sys.stderr, flush=True)
    head = ["attackers' file", "people served", "median ms", "p99 ms", "ratio", "to that with", "attackers' responses"]
    print("\n".join(table(head, rows)))
    sys.exit(not good)


if __name__ == "__main__":
    main()
