"""One run of the benchmark: its servers, and how it measures them in turns."""

import dataclasses
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.serving import contenders, load_generators
from benchmarks.serving.contenders import Bodies, Place
from benchmarks.serving.load_generators import GeneratorError, Work
from benchmarks.serving.servers import Server, ServerError

HERE = Path(__file__).resolve().parent
PROBLEMS = (GeneratorError, ServerError, subprocess.SubprocessError, OSError, ValueError)


@dataclasses.dataclass
class Bench:
    """One run: its paths, its settings and its servers."""

    place: Place
    bodies: Bodies
    out: Path
    quick: bool
    resume: bool
    running: dict[str, Server] = dataclasses.field(default_factory=dict)
    problems: list[str] = dataclasses.field(default_factory=list)

    @property
    def rounds(self) -> int:
        """Number of repeats; reports give their median."""
        return 1 if self.quick else 3

    def seconds(self, full: float) -> float:
        """Length of one measurement; a third of `full`, at least one second, in a quick run."""
        return max(1.0, full / 3) if self.quick else full

    def section(self, name: str, measure: Callable[[], dict[str, Any]]) -> None:
        """Measures one section and writes its file. A failure is recorded, and the run continues."""
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
        """Starts a contender unless it is running; returns whether it is running."""
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
        """Stops every server."""
        while self.running:
            self.running.popitem()[1].stop()

    def alone(self, name: str) -> Server:
        """Resumes one contender and pauses the others, so that it has the cores to itself."""
        for other, server in self.running.items():
            if other != name:
                server.pause()
        self.running[name].resume()
        return self.running[name]

    def load(self, name: str, work: Work, concurrency: int, seconds: float) -> dict[str, Any]:
        """Measures one running contender."""
        server = self.alone(name)
        before, start = server.cpu_seconds(), time.monotonic()
        load = load_generators.wrk(server.url, work, concurrency, seconds)
        load.server_cpu = (server.cpu_seconds() - before) / (time.monotonic() - start)
        return dataclasses.asdict(load)

    def bare(self, *arguments: str, seconds: float) -> dict[str, Any]:
        """Measures one bare loop in a process of its own, with every server paused."""
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
        """Measures contenders in turns: each is warmed up once, then measured `rounds` times."""
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
