"""The load generators, each in its own process: wrk for closed loops, k6 for open ones. Times are seconds."""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PATIENCE_S = 30
"""Extra time, beyond the requested duration, after which a generator is killed."""


class GeneratorError(Exception):
    """A generator is missing, hangs, or prints a summary that cannot be read."""


@dataclass(frozen=True)
class Work:
    """One kind of request."""

    path: str
    method: str = "GET"
    content_type: str | None = None
    tensor_head: int | None = None
    """Length of the JSON part of a KServe v2 body."""
    files: tuple[Path, ...] = ()
    """Request bodies, sent in rotation."""


@dataclass
class Load:
    """The result of one load; times are in seconds."""

    requests: int
    rate: float
    """Responses of status 200 a second."""
    p50: float
    p95: float
    p99: float
    failed: dict[str, int] = field(default_factory=dict)
    """Number of other responses by status; 'socket' counts requests without a response."""
    generator_cpu: float = 0.0
    """Cores used by the generator, on average."""
    server_cpu: float = 0.0
    """Cores used by the server, on average."""


def parse_wrk(output: str, generator_cpu_seconds: float = 0.0) -> Load:
    """Reads the line of JSON that wrk.lua prints."""
    line = next((line for line in output.splitlines() if line.startswith('{"requests"')), None)
    if line is None:
        raise GeneratorError(f"wrk printed no summary: {output[-500:]}")
    seen = json.loads(line)
    seconds = seen["microseconds"] / 1e6
    failed = {status: int(count) for status, count in seen["failed"].items()}
    if seen["socket_errors"]:
        failed["socket"] = seen["socket_errors"]
    good = seen["requests"] - sum(count for status, count in failed.items() if status != "socket")
    p50, p95, p99 = (seen[cut] / 1e6 for cut in ("p50", "p95", "p99"))
    return Load(seen["requests"], good / seconds, p50, p95, p99, failed, generator_cpu_seconds / seconds)


def parse_k6(summary: dict[str, Any], generator_cpu_seconds: float = 0.0) -> Load:
    """Reads k6's summary export of overload.js."""
    metrics = summary["metrics"]
    counts = {
        name.removeprefix("statuses{code:").removesuffix("}"): int(values["count"])
        for name, values in metrics.items()
        if name.startswith("statuses{") and values["count"]
    }
    accepted = metrics.get("accepted", {"med": 0.0, "p(95)": 0.0, "p(99)": 0.0})
    p50, p95, p99 = (accepted[cut] / 1e3 for cut in ("med", "p(95)", "p(99)"))
    good, rate = counts.pop("200", 0), float(metrics["statuses{code:200}"]["rate"])
    # k6 divides by its whole run time, the wait for the last responses included, so the rate is never too high
    seconds = good / rate if rate else 0.0
    failed = {"socket" if status == "0" else status: count for status, count in counts.items()}
    dropped = int(metrics.get("dropped_iterations", {}).get("count", 0))
    if dropped:
        failed["not sent"] = dropped
    total = good + sum(counts.values())
    cpu = generator_cpu_seconds / seconds if seconds else 0.0
    return Load(total, rate, p50, p95, p99, failed, cpu)


def wrk(url: str, work: Work, concurrency: int, seconds: float) -> Load:
    """Closed loop: each of `concurrency` connections sends its next request as soon as it has a response."""
    command = ["wrk", "-t1", f"-c{concurrency}", f"-d{max(1, round(seconds))}s", "--timeout", "30s"]
    arguments = [work.method, work.content_type or "-", str(work.tensor_head or "-"), *map(str, work.files)]
    output, cpu = _run([*command, "-s", str(HERE / "wrk.lua"), url + work.path, "--", *arguments], seconds)
    return parse_wrk(output, cpu)


def k6(binary: Path, url: str, file: Path, rate: float, clients: int, seconds: float, deadline: float) -> Load:
    """Open loop: posts `file` at `rate` a second, over at most `clients` connections, with `deadline` as timeout.

    The generator runs at low priority, which comes closest to a generator on another machine.
    """
    with tempfile.TemporaryDirectory() as folder:
        export = Path(folder) / "summary.json"
        settings = {
            "URL": url, "FILE": str(file.resolve()), "RATE": str(round(rate)), "CLIENTS": str(clients),
            "SECONDS": str(round(seconds)), "DEADLINE": f"{deadline:g}", "GRACE": str(round(2 * deadline)),
        }  # fmt: skip
        command = ["nice", "-n", "10", str(binary), "run", "--quiet", "--no-usage-report", "--summary-export"]
        flags = [flag for name, value in settings.items() for flag in ("-e", f"{name}={value}")]
        output, cpu = _run([*command, str(export), *flags, str(HERE / "overload.js")], seconds + 2 * deadline)
        if not export.exists():
            raise GeneratorError(f"k6 wrote no summary: {output[-500:]}")
        return parse_k6(json.loads(export.read_text()), cpu)


def _run(command: list[str], seconds: float) -> tuple[str, float]:
    """Output and CPU seconds of a command."""
    before = os.times()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GeneratorError(f"{command[0]}: {error}") from error
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return done.stdout + done.stderr, cpu
