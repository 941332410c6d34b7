"""Trials of traffic: more than the service can do, clients that leave, the process stopped or told to end."""

import asyncio
import random
import signal
import time
from pathlib import Path

from benchmarks.reliability.clients import Tally, digit, digits, leave, load, quantile, send, translation
from benchmarks.reliability.process import Service, serving
from benchmarks.reliability.report import Finding

MIB = 2**20
OVERLOAD = 10
"""Arrivals over what the service can do."""
DEADLINE_SECONDS = 3.0
"""Time limit of each request of the overload."""
LEAST_RESPONSES = 16
"""Responses from which the rate at the peak is taken, however long they take."""
KEPT_GOODPUT = 2
"""Least responses in time during the overload, over those of a queue that runs late requests too."""
LATE = 1.1
"""Largest p99 of what is served over its time limit: the clients share the cores and see a response late."""
KEPT_SHARE = 1.10
"""Memory and descriptors after a trial, over those before it, that count as given back."""
MIXED = (digit, digits, translation)


async def _warm_up(port: int, seconds: float) -> None:
    async with load(port, [*MIXED, translation]):
        await asyncio.sleep(seconds)


def overload(folder: Path, short: bool) -> Finding:
    """Ten times the translations that the service can do arrive, each with a time limit."""
    seconds = 1.0 if short else 30.0
    with serving(folder) as service:
        peak, tally = asyncio.run(_overload(service.port, seconds))
        failed = [f"{count} x {ending}" for ending, count in tally.others(200, 503, 504).items()]
        failed += service.rests()
        if asyncio.run(send(service.port, translation())) != 200:
            failed.append("afterwards a translation is not served")
    served = [took for _, took in tally.times]
    last = quantile(served, 0.99)
    if last > LATE * DEADLINE_SECONDS:
        failed.append(f"p99 of what was served is {last:.2f} s, over the time limit")
    if not short:  # which is over before any request is late
        failed += goodput_faults(len(served), peak)
    return Finding(
        "overload",
        f"{OVERLOAD} times the translations that the service can do, each with a limit of {DEADLINE_SECONDS:g} s",
        f"{tally.endings.total():,} requests in {seconds:g} s",
        failed,
        "nothing: what was not served got 503 or 504",
        {
            "endings": tally.text(),
            "served over the rate at its peak": round(len(served) / seconds / peak, 2),
            "p99 of the served, over the limit": round(last / DEADLINE_SECONDS, 2),
        },
    )


def goodput_faults(served: int, peak: float) -> list[str]:
    """Returns what is wrong with the number of requests that were served in time. `peak`: responses a second.

    A queue that runs late requests too is soon so long that each is late when its turn comes: it serves what it can do
    in one time limit, and then none. One that drops them goes on. How near it comes to the peak depends on what the
    clients and the rejected requests take of the same cores, so that no share of the peak is required.
    """
    least = KEPT_GOODPUT * DEADLINE_SECONDS * peak
    return [f"{served} requests were served in time, expected at least {least:.0f}"] if served < least else []


async def _overload(port: int, seconds: float) -> tuple[float, Tally]:
    async with load(port, [translation] * 8) as closed:
        await asyncio.sleep(seconds / 5)
        closed.times.clear()
        began = time.monotonic()
        while time.monotonic() < began + seconds / 5 or len(closed.times) < LEAST_RESPONSES:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        peak = len(closed.times) / (time.monotonic() - began)
    tally, request, tasks = Tally(), translation(timeout_seconds=DEADLINE_SECONDS), set()

    async def one() -> None:
        began = time.monotonic()
        tally.add(began, await send(port, request))

    until = time.monotonic() + seconds
    while time.monotonic() < until:
        tasks.add(asyncio.create_task(one()))
        await asyncio.sleep(random.expovariate(OVERLOAD * peak))
    await asyncio.gather(*tasks)
    return peak, tally


def clients_leave(folder: Path, short: bool) -> Finding:
    """Clients are cut in the middle of an upload and of an inference."""
    count = 30 if short else 1000
    warming, failed = count // 4, []
    with serving(folder) as service:
        asyncio.run(_warm_up(service.port, 0.5 if short else 10))
        asyncio.run(_leave(service.port, warming))  # so that memory is compared with that of the same work
        failed += service.rests()
        before = service.resident_bytes, service.descriptors
        asyncio.run(_leave(service.port, count))
        failed += service.rests()
        after = service.resident_bytes, service.descriptors
        if asyncio.run(send(service.port, translation())) != 200:
            failed.append("afterwards a translation is not served")
        ended = {name: value for name, value in service.metrics().items() if name.startswith("gan_requests_total")}
    for what, first, last in zip(("memory", "descriptors"), before, after, strict=True):
        if last > KEPT_SHARE * first + (2 if what == "descriptors" else 0):
            failed.append(f"{what} rose from {first:,} to {last:,}")
    cancelled = sum(value for name, value in ended.items() if 'outcome="cancelled"' in name)
    return Finding(
        "clients-leave",
        "clients whose connection is cut, half of them in the middle of an upload, half of them during the inference",
        f"{count:,} clients, after {warming:,} to warm up",
        failed,
        "nothing: gauges are at zero, descriptors and memory are back",
        {
            "requests counted as cancelled, of all these clients": cancelled,
            "MiB before and after": f"{before[0] / MIB:.0f}, {after[0] / MIB:.0f}",
            "descriptors before and after": f"{before[1]}, {after[1]}",
        },
    )


async def _leave(port: int, count: int) -> None:
    large, small = translation(1600), translation(256)

    async def client(number: int) -> None:
        if number % 2:
            await leave(port, large, random.uniform(0.05, 0.95), random.uniform(0, 0.3))
        else:
            await leave(port, small, 1.0, random.uniform(0, 0.3))

    for first in range(0, count, 50):
        await asyncio.gather(*(client(number) for number in range(first, min(first + 50, count))))


def sigterms(folder: Path, short: bool) -> Finding:
    """The process gets SIGTERM while requests arrive, again and again."""
    rounds, failed, total = 1 if short else 20, [], Tally()
    for _ in range(rounds):
        with serving(folder) as service:
            tally = asyncio.run(_ended(service))
            if (status := service.stop()) != 0:
                failed.append(f"exit status {status}")
        total.endings += tally.endings
        failed += [f"{count} x {ending}" for ending, count in tally.others(200, "refused").items()]
    return Finding(
        "sigterms",
        "SIGTERM while twelve clients send digits and translations, each request on a connection of its own",
        f"{rounds} times",
        failed,
        "nothing: every accepted request got its response",
        {"endings": total.text()},
    )


async def _ended(service: Service) -> Tally:
    async with load(service.port, [*MIXED] * 4) as tally:
        await asyncio.sleep(random.uniform(0.5, 1.5))
        service.signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            while not tally.endings["refused"]:  # noqa: ASYNC110 - the drain has no event
                await asyncio.sleep(0.05)
    return tally


def stopped(folder: Path, short: bool) -> Finding:
    """The process is stopped for seconds under load, as a virtual machine is when it is moved."""
    rounds, seconds, failed = 1 if short else 10, 1.0 if short else 4.0, []
    with serving(folder) as service:
        tally = asyncio.run(_stopped(service, rounds, seconds))
        failed += [f"{count} x {ending}" for ending, count in tally.others(200, 503, 504).items()]
        failed += service.rests()
        if service.get("/healthz/ready", management=True)[0] != 200:
            failed.append("it is not ready afterwards")
    return Finding(
        "stopped",
        f"SIGSTOP for {seconds:g} s under load, then SIGCONT",
        f"{rounds} times",
        failed,
        "nothing",
        {"endings": tally.text()},
    )


async def _stopped(service: Service, rounds: int, seconds: float) -> Tally:
    async with load(service.port, [*MIXED] * 2) as tally:
        for _ in range(rounds):
            await asyncio.sleep(1)
            service.signal(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            service.signal(signal.SIGCONT)
        await asyncio.sleep(1)
    return tally
