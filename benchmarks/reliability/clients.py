"""Clients that count how every request ends, and clients that leave in the middle of one."""

import asyncio
import contextlib
import functools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.serving.payloads import crops

TIMEOUT_SECONDS = 60.0
"""A response that takes longer counts as lost."""
Ending = int | str
"""A response's status, or the word for a request without one: refused, reset, silent."""


@dataclass(frozen=True)
class Request:
    """A request, and its own time limit."""

    method: str
    path: str
    body: bytes = b""
    kind: str = "image/jpeg"
    timeout_seconds: float | None = None

    def head(self) -> bytes:
        """The head, which asks for the connection to be closed."""
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close"]
        if self.body:
            lines += [f"Content-Length: {len(self.body)}", f"Content-Type: {self.kind}"]
        if self.timeout_seconds:
            lines.append(f"X-Request-Timeout: {self.timeout_seconds}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


def digit(seed: int | None = None) -> Request:
    """A digit."""
    return Request("GET", "/mnist/sample" if seed is None else f"/mnist/sample?seed={seed}")


def digits(count: int = 256) -> Request:
    """Many digits in a request."""
    return Request("GET", f"/mnist/sample?count={count}")


@functools.cache
def translation(side: int = 128, timeout_seconds: float | None = None) -> Request:
    """A translation of a JPEG."""
    body = crops(((side, side),), 1)[0]
    return Request("POST", "/translate/horse2zebra", body, timeout_seconds=timeout_seconds)


async def send(port: int, request: Request) -> Ending:
    """Sends a request on a connection of its own; returns how it ended."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return "refused"
            try:
                writer.write(request.head() + request.body)
                response = await reader.read()
            finally:
                writer.transport.abort()
    except TimeoutError:
        return "silent"
    except OSError:
        return "reset"
    return _ending(response)


def _ending(response: bytes) -> Ending:
    """Returns a whole response's status, or "reset" for one that is cut."""
    head, separator, body = response.partition(b"\r\n\r\n")
    if not separator:
        return "reset"
    length = next((line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), None)
    whole = len(body) == int(length) if length is not None else body.endswith(b"0\r\n\r\n")
    return int(head[9:12]) if whole else "reset"


async def leave(port: int, request: Request, share: float, seconds: float) -> None:
    """Sends a `share` (0 to 1) of a request's bytes, waits, and cuts the connection."""
    content = request.head() + request.body
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(content[: max(1, round(share * len(content)))])
        await asyncio.sleep(seconds)
        writer.transport.abort()


@dataclass
class Tally:
    """How requests ended, and how long those took that got 200."""

    endings: Counter[Ending] = field(default_factory=Counter)
    times: list[tuple[float, float]] = field(default_factory=list)
    """When each 200 began, on the monotonic clock, and its seconds."""

    def add(self, began: float, ending: Ending) -> None:
        """Counts a request that began at `began`."""
        self.endings[ending] += 1
        if ending == 200:
            self.times.append((began, time.monotonic() - began))

    def others(self, *allowed: Ending) -> dict[Ending, int]:
        """Returns the endings that are not among `allowed`."""
        return {ending: count for ending, count in self.endings.items() if ending not in allowed}

    def text(self) -> str:
        """The counts as text."""
        return ", ".join(
            f"{count:,} x {ending}" for ending, count in sorted(self.endings.items(), key=lambda item: str(item[0]))
        )


def quantile(seconds: Sequence[float], share: float) -> float:
    """Returns the smallest value that `share` of `seconds` do not exceed."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


@contextlib.asynccontextmanager
async def load(
    port: int, requests: Sequence[Callable[[], Request]], pause_seconds: float = 0.0
) -> AsyncIterator[Tally]:
    """Keeps one client for each of `requests` busy inside the block; each waits for its response, then pauses."""
    tally, ending = Tally(), asyncio.Event()

    async def client(make: Callable[[], Request]) -> None:
        while not ending.is_set():
            request, began = make(), time.monotonic()
            tally.add(began, await send(port, request))
            if tally.endings["refused"]:
                return
            await asyncio.sleep(pause_seconds * random.uniform(0.5, 1.5))

    tasks = [asyncio.create_task(client(make)) for make in requests]
    try:
        yield tally
    finally:
        ending.set()
        await asyncio.gather(*tasks)
