"""The sections of the benchmark, each of which becomes one file of results and one section of the page."""

import dataclasses
import json
import os
import subprocess
import time
from collections.abc import Callable
from typing import Any

from benchmarks.report import processor
from benchmarks.serving import contenders, load_generators
from benchmarks.serving.bench import Bench
from benchmarks.serving.load_generators import Load, Work
from benchmarks.serving.servers import ServerError

CONCURRENCIES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SATURATED = 32
DEADLINE_SECONDS = 5.0


def machine(bench: Bench) -> dict[str, Any]:
    """The machine, the commit and the versions of the peers."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=bench.place.checkout, capture_output=True, text=True, check=False
    )
    return {
        "cores": os.cpu_count(),
        "model": processor(),
        "load_before": round(os.getloadavg()[0], 2),
        "commit": commit.stdout.strip(),
        "date": time.strftime("%Y-%m-%d"),
        "peers": contenders.versions(bench.place),
    }


def limits(bench: Bench) -> dict[str, Any]:
    """Items a second at each batch size, of the model alone and of the whole bare loop."""
    seconds = bench.seconds(3)
    images = [str(path) for path in bench.bodies.square]
    found: dict[str, dict[str, Any]] = {"mnist": {}, "horse2zebra": {}, "translate": {}, "digits": {}}
    for batch in (1, 4, 16, 64, 256, 1024):
        found["mnist"][str(batch)] = bench.bare("run", "mnist", "--batch", str(batch), seconds=seconds)
    for batch in (64, 256, 1024):
        found["digits"][str(batch)] = bench.bare("digits", "--batch", str(batch), seconds=seconds)
    for batch in (1, 2, 4, 8, 16):
        found["horse2zebra"][str(batch)] = bench.bare("run", "horse2zebra", "--batch", str(batch), seconds=seconds)
        found["translate"][str(batch)] = bench.bare("translate", "--batch", str(batch), *images, seconds=seconds)
    return found


def best_batch(bench: Bench, loop: str) -> str:
    """The batch size at which the bare loop was fastest."""
    tried = json.loads((bench.out / "limits.json").read_text())[loop]
    return str(max(tried, key=lambda batch: tried[batch]["rate"]))


def sweep(bench: Bench) -> dict[str, Any]:
    """The service's throughput and latency at each concurrency."""
    if not bench.start("service"):
        raise ServerError("the service does not start")
    works = {
        "one digit": (contenders.digit("service", bench.bodies), 3.0),
        "256 digits": (Work("/mnist/sample?count=256"), 4.0),
        "translation": (contenders.translation("service", bench.bodies), 8.0),
    }
    found: dict[str, Any] = {}
    for name, (work, full) in works.items():
        bench.load("service", work, 16, 2)
        chosen = CONCURRENCIES[::4] if bench.quick else CONCURRENCIES
        # A measurement lasts several times longer than one request waits behind the others.
        found[name] = {str(n): bench.load("service", work, n, bench.seconds(full * (1 + n / 64))) for n in chosen}
    return found


def overload(bench: Bench) -> dict[str, Any]:
    """Translations that arrive at ten times the service's peak rate, which is measured before and after."""
    if not bench.start("service"):
        raise ServerError("the service does not start")
    work = contenders.translation("service", bench.bodies)
    server, seconds = bench.alone("service"), bench.seconds(30)
    peaks = [bench.load("service", work, SATURATED, bench.seconds(10))]
    rate = 10 * peaks[0]["rate"]
    before, start = server.cpu_seconds(), time.monotonic()
    clients = round(rate * DEADLINE_SECONDS)
    k6 = bench.place.peers / "tools" / "bin" / "k6"
    load: Load = load_generators.k6(k6, server.url + work.path, work.files[0], rate, clients, seconds, DEADLINE_SECONDS)
    load.server_cpu = (server.cpu_seconds() - before) / (time.monotonic() - start)
    time.sleep(2)
    peaks.append(bench.load("service", work, SATURATED, bench.seconds(10)))
    peak = {"rate": sum(one["rate"] for one in peaks) / 2, "rounds": peaks}
    responds = server.responds(work)
    return {
        "peak": peak, "rate": rate, "seconds": seconds, "deadline": DEADLINE_SECONDS,
        "load": dataclasses.asdict(load), "responds_afterwards": responds,
    }  # fmt: skip


def overhead(bench: Bench) -> dict[str, Any]:
    """Microseconds of each part of a request, measured inside the service's process."""
    environment = {**os.environ, "PYTHONPATH": str(bench.place.checkout)}
    command = [bench.place.python, "-m", "benchmarks.serving.overhead", "--json", "--image"]
    done = subprocess.run(
        [*command, str(bench.bodies.square[0]), *(["--requests", "100"] if bench.quick else [])],
        capture_output=True, text=True, timeout=120, check=True, cwd=bench.place.checkout, env=environment,
    )  # fmt: skip
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(bench: Bench) -> None:
    """Measures all sections; those that others need come first."""
    peers = contenders.installed(bench.place)
    everyone = ["service", *peers]
    translations = {name: contenders.translation(name, bench.bodies) for name in everyone}
    square = [str(path) for path in bench.bodies.square]
    mixed = [str(path) for path in bench.bodies.mixed]

    def bare(*arguments: str) -> Callable[[float], dict[str, Any]]:
        return lambda seconds: bench.bare(*arguments, seconds=seconds)

    def at_best(loop: str, files: list[str]) -> Callable[[float], dict[str, Any]]:
        return lambda seconds: bare(loop, "--batch", best_batch(bench, loop), *files)(seconds)

    bench.section("machine", lambda: machine(bench))
    bench.section("limits", lambda: limits(bench))
    bench.section("overhead", lambda: overhead(bench))
    alone = bare("translate", "--batch", "1", *square)
    bench.section("sweep", lambda: sweep(bench))
    thousand = {"service": Work("/mnist/sample?count=1024")}
    bench.section("digits", lambda: bench.compare(thousand, 8, 5, at_best("digits", [])))
    work = {"service": dataclasses.replace(translations["service"], files=bench.bodies.mixed)}
    bench.section("mixed", lambda: bench.compare(work, SATURATED, 12, at_best("translate", mixed)))
    bench.section("overload", lambda: overload(bench))
    works = {name: contenders.digit(name, bench.bodies) for name in ("constant", *everyone)}
    bench.section("digit", lambda: bench.compare(works, 64, 5, None))
    bench.section("digit_alone", lambda: bench.compare(works, 1, 3, None))
    bench.section("translation_alone", lambda: bench.compare(translations, 1, 6, alone))
    bench.section("translation", lambda: bench.compare(translations, SATURATED, 12, at_best("translate", square)))
