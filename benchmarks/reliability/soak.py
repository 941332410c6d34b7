"""A trial of time: mixed traffic for half an hour, with memory and latency that must not grow."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.reliability.clients import Request, Tally, digit, digits, load, quantile, translation
from benchmarks.reliability.process import Service, serving
from benchmarks.reliability.report import Finding

MIB = 2**20
RISE = 1.05
"""Largest memory at the end over that after the first sixth."""
LATENCY_RISE = 1.5
"""Largest p99 of the last third over that of the second: the machine is shared."""
PAUSE_SECONDS = 0.05


def soak(folder: Path, minutes: float) -> Finding:
    """Sends digits, sheets of digits and translations of small and large images for `minutes`."""
    failed = []
    with serving(folder) as service:
        tally, memory = asyncio.run(_soak(service, 60 * minutes))
        failed += [f"{count} x {ending}" for ending, count in tally.others(200).items()]
        failed += service.rests()
    third: list[list[float]] = [[], [], []]
    first = tally.times[0][0]
    for began, took in tally.times:
        third[min(2, int((began - first) / (20 * minutes)))].append(took)
    sixth = len(memory) // 6
    early, late = max(memory[sixth : 2 * sixth] or memory), max(memory[-sixth:] or memory)
    last = [quantile(times, 0.99) for times in third]
    if late > RISE * early:
        failed.append(f"memory rose from {early / MIB:.0f} to {late / MIB:.0f} MiB")
    if last[2] > LATENCY_RISE * last[1]:
        failed.append(f"p99 rose from {last[1]:.2f} to {last[2]:.2f} s")
    return Finding(
        "soak",
        "digits, sheets of digits, and translations of small and large images, four clients",
        f"{minutes:g} minutes, {tally.endings.total():,} requests",
        failed,
        figures={
            "peak MiB of the second sixth and of the last": f"{early / MIB:.0f}, {late / MIB:.0f}",
            "memory, last over second sixth": round(late / early, 3),
            "p99, last third over the second": round(last[2] / last[1], 2),
        },
    )


async def _soak(service: Service, seconds: float) -> tuple[Tally, list[float]]:
    memory = []
    requests: list[Callable[[], Request]] = [digit, digits, translation, lambda: translation(1000)]
    until = time.monotonic() + seconds
    async with load(service.port, requests, PAUSE_SECONDS) as tally:
        while time.monotonic() < until:
            await asyncio.sleep(min(2.0, seconds / 30))
            memory.append(float(service.resident_bytes))
    return tally, memory
