"""Measures the service, its limits and its peers in one run on this machine.

    make bench                                           installs the peers, runs everything: about 25 minutes
    python -m benchmarks.serving --peers FOLDER          runs everything
    python -m benchmarks.serving --quick --peers FOLDER  a smoke test of about 3 minutes; its figures mean little

Needs wrk (apt install wrk). Each section is written to --out as soon as it is done; --resume skips those that are
there. Contenders take turns within a section, so that a ratio compares what the machine did at the same time.
"""

import argparse
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.report import ROOT, processor
from benchmarks.serving import contenders, load_generators
from benchmarks.serving.contenders import Bodies, Place
from benchmarks.serving.goals import figures
from benchmarks.serving.load_generators import GeneratorError, Load, Work
from benchmarks.serving.servers import Server, ServerError

HERE = Path(__file__).resolve().parent
CONCURRENCIES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SATURATED = 32
DEADLINE_SECONDS = 5.0
PROBLEMS = (GeneratorError, ServerError, subprocess.SubprocessError, OSError, ValueError)


@dataclasses.dataclass
class Bench:
    """One run: where things are, and how long each measurement takes."""

    place: Place
    bodies: Bodies
    out: Path
    quick: bool
    resume: bool
    running: dict[str, Server] = dataclasses.field(default_factory=dict)
    problems: list[str] = dataclasses.field(default_factory=list)

    @property
    def rounds(self) -> int:
        """Repeats of which the median counts."""
        return 1 if self.quick else 3

    def seconds(self, full: float) -> float:
        """Length of one measurement."""
        return max(1.0, full / 3) if self.quick else full

    def section(self, name: str, measure: Callable[[], dict[str, Any]]) -> None:
        """Measures and writes one section; a failure is noted and the run goes on."""
        path = self.out / f"{name}.json"
        if self.resume and path.exists():
            print(f"{name}: kept", flush=True)
            return
        begun = time.monotonic()
        try:
            result = measure()
        except PROBLEMS as error:
            self.problems.append(f"{name}: {error}")
            print(f"{name}: FAILED: {error}", flush=True)
            return
        path.write_text(json.dumps({"quick": self.quick, **result}, indent=1) + "\n")
        print(f"{name}: {time.monotonic() - begun:.0f} s", flush=True)

    def start(self, name: str) -> bool:
        """Starts a contender unless it runs; returns whether it does."""
        if name in self.running:
            return True
        server = contenders.server(name, self.place)
        probes = [contenders.digit(name, self.bodies)]
        if name != "constant":
            probes.append(contenders.translation(name, self.bodies))
        try:
            server.start(probes)
        except (ServerError, OSError) as error:
            self.problems.append(str(error))
            print(error, flush=True)
            return False
        self.running[name] = server
        return True

    def stop(self) -> None:
        """Ends every server."""
        while self.running:
            self.running.popitem()[1].stop()

    def alone(self, name: str) -> Server:
        """A running contender, the others off the cores."""
        for other, server in self.running.items():
            if other != name:
                server.pause()
        self.running[name].resume()
        return self.running[name]

    def load(self, name: str, work: Work, concurrency: int, seconds: float) -> dict[str, Any]:
        """One measurement of a running contender."""
        server = self.alone(name)
        before, start = server.cpu_seconds(), time.monotonic()
        load = load_generators.wrk(server.url, work, concurrency, seconds)
        load.server_cpu = (server.cpu_seconds() - before) / (time.monotonic() - start)
        return dataclasses.asdict(load)

    def bare(self, *arguments: str, seconds: float) -> dict[str, Any]:
        """One bare loop, in its own process, no server on the cores."""
        for server in self.running.values():
            server.pause()
        command = [self.place.python, str(HERE / "limits.py"), "--models", str(self.place.models)]
        done = subprocess.run(
            [*command, *arguments, "--seconds", str(seconds)],
            capture_output=True, text=True, timeout=seconds + 60, check=True,
        )  # fmt: skip
        return dict(json.loads(done.stdout))

    def compare(
        self, works: dict[str, Work], concurrency: int, full: float, bare: Callable[[float], dict[str, Any]] | None
    ) -> dict[str, Any]:
        """Contenders in turns: each is warmed up once, then measured `rounds` times."""
        seconds, measured = self.seconds(full), dict[str, list[dict[str, Any]]]()
        there = {name: work for name, work in works.items() if self.start(name)}
        for name, work in there.items():
            self.load(name, work, concurrency, 2)
        for turn in range(self.rounds):
            order = list(there.items())
            for name, work in order if turn % 2 == 0 else reversed(order):  # A B, B A, A B
                measured.setdefault(name, []).append(self.load(name, work, concurrency, seconds))
            if bare:
                measured.setdefault("bare", []).append(bare(seconds))
        return {"concurrency": concurrency, "seconds": seconds, "contenders": measured}


def machine(bench: Bench) -> dict[str, Any]:
    """Where and with what this was measured."""
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
    """The model alone at each batch size, and the whole bare loop at each."""
    seconds = bench.seconds(3)
    pictures = [str(path) for path in bench.bodies.square]
    found: dict[str, dict[str, Any]] = {"mnist": {}, "horse2zebra": {}, "translate": {}, "digits": {}}
    for batch in (1, 4, 16, 64, 256, 1024):
        found["mnist"][str(batch)] = bench.bare("run", "mnist", "--batch", str(batch), seconds=seconds)
    for batch in (64, 256, 1024):
        found["digits"][str(batch)] = bench.bare("digits", "--batch", str(batch), seconds=seconds)
    for batch in (1, 2, 4, 8, 16):
        found["horse2zebra"][str(batch)] = bench.bare("run", "horse2zebra", "--batch", str(batch), seconds=seconds)
        found["translate"][str(batch)] = bench.bare("translate", "--batch", str(batch), *pictures, seconds=seconds)
    return found


def best_batch(bench: Bench, loop: str) -> str:
    """The batch at which the bare loop was fastest."""
    tried = json.loads((bench.out / "limits.json").read_text())[loop]
    return str(max(tried, key=lambda batch: tried[batch]["rate"]))


def sweep(bench: Bench) -> dict[str, Any]:
    """The service alone against concurrency."""
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
        # a measurement must outlast several times what one request waits behind the others
        found[name] = {str(n): bench.load("service", work, n, bench.seconds(full * (1 + n / 64))) for n in chosen}
    return found


def overload(bench: Bench) -> dict[str, Any]:
    """Open-loop translation at ten times what k6 itself gets through a closed loop just before."""
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
    answers = server.answers(work)
    return {
        "peak": peak, "rate": rate, "seconds": seconds, "deadline": DEADLINE_SECONDS,
        "load": dataclasses.asdict(load), "answers_afterwards": answers,
    }  # fmt: skip


def overhead(bench: Bench) -> dict[str, Any]:
    """Part by part, inside the service's process."""
    environment = {**os.environ, "PYTHONPATH": str(bench.place.checkout)}
    command = [bench.place.python, str(HERE / "overhead.py"), "--json", "--picture"]
    done = subprocess.run(
        [*command, str(bench.bodies.square[0]), *(["--requests", "100"] if bench.quick else [])],
        capture_output=True, text=True, timeout=120, check=True, cwd=bench.place.checkout, env=environment,
    )  # fmt: skip
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(bench: Bench) -> None:
    """All sections, the ones that the figures need first."""
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


def main() -> None:
    """Reads the command line, measures, prints the figures and renders the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=ROOT / "build" / "peers", help="environments of peers/install.py")
    parser.add_argument("--checkout", type=Path, default=ROOT, help="repository whose service is measured")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has the service's dependencies")
    parser.add_argument("--port", type=int, default=18300, help="first of a hundred free ports")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--quick", action="store_true", help="short and once: a smoke test")
    parser.add_argument("--resume", action="store_true", help="keep the sections that are there")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that servers are ended
    chosen.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as scratch:
        place = Place(chosen.checkout.resolve(), chosen.python, chosen.peers.resolve(), Path(scratch), chosen.port)
        bench = Bench(place, contenders.write_bodies(place.scratch / "bodies"), chosen.out, chosen.quick, chosen.resume)
        if not bench.resume:
            for old in bench.out.glob("*.json"):
                old.unlink()
        try:
            measure(bench)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not leave servers behind
            bench.stop()
    results = {path.stem: json.loads(path.read_text()) for path in bench.out.glob("*.json")}
    for figure in figures(results):
        value = "" if figure.value is None else f"{figure.value:.2f}"
        print(f"{figure.what:88} {value:>7} goal {'>=' if figure.at_least else '<='} {figure.goal} {figure.verdict}")
    for problem in bench.problems:
        print(f"problem: {problem}", file=sys.stderr)


if __name__ == "__main__":
    main()
