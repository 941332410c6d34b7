"""Loads the running service with clients that ask again as soon as they are answered, and prints what they saw.

    .venv/bin/python benchmarks/load.py --clients 64 --seconds 60

Half of the clients ask for a digit, half have a picture translated. The clients share the machine with the
service, and are written in Python: the figures show that it holds, not how fast it can be. Exit status 1 when any
answer was not 200.
"""

import argparse
import asyncio
import io
import json
import re
import statistics
import sys
import time
from collections import Counter

import httpx
from PIL import Image


async def client(http: httpx.AsyncClient, request: httpx.Request, until: float, seen: list[tuple[int, float]]) -> None:
    """Sends one request again and again; notes each answer's status (0: none) and seconds."""
    while time.perf_counter() < until:
        start = time.perf_counter()
        try:
            status = (await http.send(request)).status_code
        except httpx.HTTPError:
            status = 0
        seen.append((status, time.perf_counter() - start))


def summary(seen: list[tuple[int, float]], seconds: float) -> dict[str, object]:
    """Counts by status, rate and percentiles."""
    times = sorted(t for _, t in seen)
    cuts = statistics.quantiles(times, n=100)
    return {
        "statuses": dict(Counter(status for status, _ in seen)),
        "requests_per_second": round(len(seen) / seconds, 1),
        "p50_ms": round(1000 * cuts[49], 1),
        "p95_ms": round(1000 * cuts[94], 1),
        "p99_ms": round(1000 * cuts[98], 1),
    }


def batches(metrics: str) -> dict[str, dict[str, float]]:
    """Batches and items a model, from /metrics."""
    found: dict[str, dict[str, float]] = {}
    for kind, model, value in re.findall(r'^gan_batch_items_(sum|count)\{model="(.*?)"\} (\S+)', metrics, re.MULTILINE):
        found.setdefault(model, {})["items" if kind == "sum" else "batches"] = float(value)
    return found


def picture() -> bytes:
    """A 256x256 JPEG of noise."""
    buffer = io.BytesIO()
    Image.effect_noise((256, 256), 64).convert("RGB").save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


async def load(service: str, clients: int, seconds: float) -> tuple[dict[str, object], set[int]]:
    """Runs the clients and returns the report, and the statuses that came."""
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=service, timeout=60, limits=limits) as http:
        digit = http.build_request("GET", "/mnist/sample")
        headers = {"Content-Type": "image/jpeg"}
        translation = http.build_request("POST", "/translate/horse2zebra", content=picture(), headers=headers)
        before = batches((await http.get("/metrics")).text)
        seen: dict[str, list[tuple[int, float]]] = {"digit": [], "translation": []}
        until = time.perf_counter() + seconds
        kinds = [("digit", digit), ("translation", translation)]
        chosen = [kinds[i % 2] for i in range(clients)]
        await asyncio.gather(*(client(http, request, until, seen[name]) for name, request in chosen))
        after = batches((await http.get("/metrics")).text)
    none = {"items": 0.0, "batches": 0.0}
    ran = {m: {k: now[k] - before.get(m, none)[k] for k in none} for m, now in after.items()}
    means = {model: round(d["items"] / d["batches"], 2) for model, d in ran.items() if d["batches"]}
    report = {"clients": clients, **{k: summary(v, seconds) for k, v in seen.items() if v}, "mean_batch": means}
    return report, {status for answers in seen.values() for status, _ in answers}


def main() -> None:
    """Reads the command line and prints the report as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--service", default="http://127.0.0.1:8000")
    parser.add_argument("--clients", type=int, default=64, help="2 or more: half ask for digits")
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    report, statuses = asyncio.run(load(arguments.service, arguments.clients, arguments.seconds))
    print(json.dumps(report, indent=2))
    sys.exit(statuses != {200})


if __name__ == "__main__":
    main()
