"""Measures what API keys cost: one digit a request from 64 connections, with and without keys, and wrong keys.

    python -m benchmarks.serving.access --rounds 5 --seconds 4

Starts three services with the bundled models on this machine's CPU, without keys, with one and with 10,000, and loads
them in turn with wrk. Then times the lookup of keys that are valid, wrong, and wrong in their last character only.
"""

import argparse
import contextlib
import re
import secrets
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.report import processor, table
from benchmarks.serving.servers import cpu_seconds_of
from service.access import keys
from service.access.keys import KeyStore
from tools.footprint import service

CONNECTIONS, LOOKUPS = 64, 20_000
ROUTE = "/mnist/sample"
SERVICES = {"without keys": 0, "with one key": 1, "with 10,000 keys": 10_000}


def key_file(path: Path, number: int) -> str:
    """Writes a file of so many keys; returns the last one."""
    made = [keys.KEY_PREFIX + secrets.token_urlsafe(keys.KEY_BYTES) for _ in range(number)]
    path.write_text("".join(f"client-{n} {keys.hash_of(key)}\n" for n, key in enumerate(made)))
    return made[-1]


def load(url: str, key: str, seconds: int) -> float:
    """Loads a service; returns its responses of status 200 a second. Raises RuntimeError if any was another."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-H", f"X-API-Key: {key}", url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Requests/sec:\s+([0-9.]+)", said)
    if found is None or "Non-2xx" in said:
        raise RuntimeError(f"wrk had no clean run:\n{said}")
    return float(found[1])


def lookups(folder: Path) -> list[tuple[str, float]]:
    """Median microseconds of looking up keys of each kind among 10,000, measured in turn."""
    path = folder / "lookups"
    valid = key_file(path, 10_000)
    store = KeyStore(path)
    kinds = {
        "valid": valid,
        "wrong in the last character": valid[:-1] + ("A" if valid[-1] != "A" else "B"),
        "wrong in all": keys.KEY_PREFIX + secrets.token_urlsafe(keys.KEY_BYTES),
    }
    times: dict[str, list[int]] = {name: [] for name in kinds}
    for _ in range(LOOKUPS):
        for name, key in kinds.items():
            start = time.perf_counter_ns()
            store.name_of(key)
            times[name].append(time.perf_counter_ns() - start)
    return [(name, statistics.median(found) / 1e3) for name, found in times.items()]


def main() -> None:
    """Runs the measurement and prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--port", type=int, default=18_400, help="first of three ports")
    given = parser.parse_args()
    rates: dict[str, list[float]] = {name: [] for name in SERVICES}
    costs: dict[str, list[float]] = {name: [] for name in SERVICES}
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as running:
        started = {}
        for place, (name, number) in enumerate(SERVICES.items()):
            path, port = Path(scratch) / str(number), given.port + place
            key = key_file(path, number) if number else "unused"
            pid, _ = running.enter_context(service(port, *(("--keys", str(path)) if number else ())))
            started[name] = pid, f"http://127.0.0.1:{port}{ROUTE}", key
        for turn in range(given.rounds + 1):
            for name, (pid, url, key) in started.items():
                before = cpu_seconds_of(pid)
                rate = load(url, key, given.seconds)
                if turn:  # the first warms up
                    rates[name].append(rate)
                    costs[name].append((cpu_seconds_of(pid) - before) / (rate * given.seconds))
        looked_up = lookups(Path(scratch))
    first = next(iter(SERVICES))
    rows = [
        [
            name,
            f"{statistics.median(rates[name]):,.0f}",
            f"{statistics.median(a / b for a, b in zip(rates[name], rates[first], strict=True)):.2f}",
            f"{1e6 * statistics.median(costs[name]):.0f}",
            f"{statistics.median(a / b for a, b in zip(costs[name], costs[first], strict=True)):.2f}",
        ]
        for name in SERVICES
    ]
    print(f"{processor()}, medians of {given.rounds} rounds in turn\n")
    print(*table(["service", "requests a second", "ratio", "CPU, us a request", "ratio"], rows), sep="\n")
    print()
    print(*table(["key", "lookup, us"], [[name, f"{found:.2f}"] for name, found in looked_up]), sep="\n")


if __name__ == "__main__":
    main()
