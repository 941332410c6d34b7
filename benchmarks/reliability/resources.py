"""Trials of what runs out: descriptors, memory, disk; and fits that are killed while they write."""

import asyncio
import contextlib
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks.reliability.clients import Ending, Request, Tally, digit, load, send, translation
from benchmarks.reliability.process import PATIENCE_SECONDS, serving
from benchmarks.reliability.report import Finding

MIB = 2**20
DESCRIPTORS = 96
"""Limit of open files of the trial; an idle service has about thirty."""
DISK_MIB = 24
CHECKPOINT_MIB = 8

_WRITE = f"""
import sys, torch
from pathlib import Path
from training import checkpoint
state = {{"weights": torch.rand({CHECKPOINT_MIB} * 2**18)}}
for images in range(1, 100_000):
    checkpoint.write(Path(sys.argv[1]), {{"images": images, **state}})
    print(images, flush=True)
"""
"""Program that writes checkpoints of CHECKPOINT_MIB, and the number of each when it is complete."""


def descriptors(folder: Path, short: bool) -> Finding:
    """Idle connections take all file descriptors, then leave."""
    rounds, failed = 1 if short else 10, []
    limit = ("prlimit", f"--nofile={DESCRIPTORS}", "--")
    with serving(folder, prefix=limit) as service:
        before = service.descriptors
        for _ in range(rounds):
            with contextlib.ExitStack() as idle:
                for _ in range(2 * DESCRIPTORS):
                    connection = idle.enter_context(socket.socket())
                    connection.settimeout(1)
                    with contextlib.suppress(OSError):
                        connection.connect(("127.0.0.1", service.port))
                time.sleep(2)
            until = time.monotonic() + PATIENCE_SECONDS
            while (ending := asyncio.run(send(service.port, translation()))) != 200 and time.monotonic() < until:
                time.sleep(0.2)
            if ending != 200:
                failed.append(f"afterwards a translation ends with {ending}")
        failed += service.rests()
        if "no file descriptor is left" not in service.log.read_text():
            failed.append("the log does not say that descriptors ran out")
        if (after := service.descriptors) > before + 8:  # a codec process has a few
            failed.append(f"descriptors rose from {before} to {after}")
    return Finding(
        "descriptors",
        f"{2 * DESCRIPTORS} idle connections to a service that may open {DESCRIPTORS} files",
        f"{rounds} times",
        failed,
        "new connections while none was left; the log says why and what to do",
        {"descriptors before and after": f"{before}, {after}"},
    )


def memory(folder: Path, short: bool) -> Finding:
    """The process may not take more memory, under images that need much; then it may again."""
    rounds, failed = 1 if short else 5, []
    large = Request("POST", "/translate/horse2zebra?size=1024", translation(1024).body)
    endings: Counter[Ending] = Counter()
    with serving(folder) as service:
        asyncio.run(send(service.port, translation()))
        for _ in range(rounds):
            used = int(Path(f"/proc/{service.pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            resource.prlimit(service.pid, resource.RLIMIT_AS, (used + 32 * MIB, resource.RLIM_INFINITY))
            endings.update(asyncio.run(_together(service.port, [large] * 6 + [digit()] * 20)))
            resource.prlimit(service.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            until = time.monotonic() + PATIENCE_SECONDS
            while (ending := asyncio.run(send(service.port, large))) != 200 and time.monotonic() < until:
                time.sleep(0.5)
            if ending != 200:
                failed.append(f"with memory again, a translation ends with {ending}")
        failed += service.rests()
    unexpected = {ending: count for ending, count in endings.items() if ending not in (200, 500, 503)}
    failed += [f"{count} x {ending}" for ending, count in unexpected.items()]
    if 500 not in endings:
        failed.append("no allocation failed: the limit was too high to try anything")
    return Finding(
        "memory",
        "six translations at 1024 pixels and twenty digits while the process may take only 32 MiB more memory",
        f"{rounds} times",
        failed,
        "the requests whose memory could not be had, with status 500",
        {"endings": ", ".join(f"{count} x {ending}" for ending, count in sorted(endings.items(), key=str))},
    )


async def _together(port: int, requests: list[Request]) -> list[Ending]:
    return list(await asyncio.gather(*(send(port, request) for request in requests)))


def codec_kills(folder: Path, short: bool) -> Finding:
    """The codec processes are killed while they work, as the kernel does when memory runs out."""
    rounds, failed = 2 if short else 50, []
    with serving(folder) as service:
        killed, tally = asyncio.run(_kill_codecs(service.port, lambda: service.children, rounds))
        failed += [f"{count} x {ending}" for ending, count in tally.others(200, 500).items()]
        failed += service.rests()
        if asyncio.run(send(service.port, translation(2000))) != 200:
            failed.append("afterwards a large image is not served")
    return Finding(
        "codec-kills",
        "kill -9 of a process that decodes large images, under load",
        f"{killed} kills",
        failed,
        "the images in the killed processes, with status 500",
        {"endings": tally.text()},
    )


async def _kill_codecs(port: int, children: Callable[[], list[int]], rounds: int) -> tuple[int, Tally]:
    killed = 0
    async with load(port, [lambda: translation(2000)] * 3 + [digit] * 2) as tally:
        for _ in range(rounds):
            await asyncio.sleep(random.uniform(0.2, 0.8))
            for child in children()[:1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
                    killed += 1
    return killed, tally


def checkpoint_kills(folder: Path, short: bool) -> Finding:
    """A process that writes checkpoints is killed in the middle of a write."""
    from training import checkpoint

    rounds, failed, middle = 1 if short else 20, [], 0
    for number in range(rounds):
        run = folder / str(number)
        done = _kill_in_a_write(run)
        middle += bool(list(run.glob("*.partial")))
        state = checkpoint.read(run)
        if state["images"] < done:
            failed.append(f"the newest readable checkpoint is {state['images']}, but {done} was complete")
    return Finding(
        "checkpoint-kills",
        f"kill -9 while a fit's checkpoint of {CHECKPOINT_MIB} MiB is written",
        f"{rounds} times",
        failed,
        "the checkpoint in writing; the one before is complete and is read",
        {"kills that left a partial file": middle},
    )


def _kill_in_a_write(run: Path) -> int:
    """Runs the program until it has written two checkpoints and is in another one; returns the last complete one."""
    with subprocess.Popen([sys.executable, "-c", _WRITE, str(run)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for _ in range(2):
            process.stdout.readline()
        wanted = random.uniform(0.05, 0.95) * CHECKPOINT_MIB * MIB
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(OSError, ValueError):
                if max(partial.stat().st_size for partial in run.glob("*.partial")) >= wanted:
                    break
        process.kill()
        lines = process.stdout.read().split()
    return max([2, *(int(line) for line in lines)])


def full_disk(folder: Path, short: bool) -> Finding:
    """A fit's disk is full, and so is the service's /tmp."""
    from training import checkpoint

    failed, rounds = [], 1 if short else 5
    for number in range(rounds):
        run = folder / str(number)
        run.mkdir()
        script = (
            f"mount -t tmpfs -o size={DISK_MIB}m none {run} && {sys.executable} -c '{_WRITE}' {run}/run; "
            f"echo status $?; head -c 64M /dev/zero > {run}/rest; cp -r {run}/run {run}.copy"
        )
        done = subprocess.run(
            ["unshare", "--map-root-user", "--mount", "sh", "-c", script.replace("100_000", "1 + 20")],
            capture_output=True,
            text=True,
        )
        if not any(words in done.stderr for words in ("No space left", "iostream error", "file write failed")):
            failed.append(f"the fit did not say that the disk is full: {done.stderr[-200:]}")
        try:
            checkpoint.read(folder / f"{number}.copy")
        except checkpoint.CheckpointError as error:
            failed.append(str(error))
    prefix = (
        *("unshare", "--map-root-user", "--mount", "sh", "-c"),
        'mount -t tmpfs -o size=1m none /tmp && { head -c 2M /dev/zero > /tmp/rest 2> /dev/null; exec "$@"; }',
        "sh",
    )
    with serving(folder, prefix=prefix) as service:
        requests = [digit(), translation(), translation(2000)]
        endings = asyncio.run(_together(service.port, requests))
        if endings != [200, 200, 200]:
            failed.append(f"with a full /tmp the service's responses are {endings}")
    return Finding(
        "full-disk",
        f"a fit whose disk has {DISK_MIB} MiB, and the service with a full /tmp",
        f"{rounds} fits, {len(requests)} requests",
        failed,
        "the checkpoint that did not fit; the one before is complete and is read",
    )
