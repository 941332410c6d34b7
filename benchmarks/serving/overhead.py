"""Measures what a request costs outside the model, part by part, in process with the real application.

    python -m benchmarks.serving.overhead --image photograph.jpg

Requests are sent one after the other as ASGI calls, without a socket. Routing (with the middleware around it),
the route, its validation and the response are timed where the fast path hands over; decode, queue, run and encode are
the service's own metrics. "rest of the route" is what the route does otherwise: reading the body, changing threads.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from service.api.digits import sample
from service.api.params import Query
from service.api.translation import route as translation
from service.app import create_app

METRICS = {
    "decode": "gan_decode_duration_seconds",
    "queue": "gan_queue_duration_seconds",
    "run": "gan_inference_duration_seconds",
    "encode": "gan_encode_duration_seconds",
}
WARM_UP = 20


class Stopwatch:
    """Times at which the current request passed each mark, and the seconds of its validation."""

    def __init__(self) -> None:
        self.marks: dict[str, float] = {}
        self.validation = 0.0

    def clear(self) -> None:
        """Resets the marks before the next request."""
        self.marks.clear()
        self.validation = 0.0

    def install(self) -> None:
        """Marks the start and end of every route on the fast path, and times the parsing of queries and deadlines."""
        for route in (*sample.router.routes, *translation.router.routes):
            if isinstance(route, APIRoute):
                route.endpoint = self._marking(route.endpoint)
        Query.of = classmethod(self._timing(vars(Query)["of"].__func__))  # type: ignore[assignment]  # a stopwatch around it
        for route_module in (sample, translation):
            vars(route_module)["deadline_of"] = self._timing(vars(route_module)["deadline_of"])

    def _marking(self, route: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def marked(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - passed through
            self.marks["routed"] = time.perf_counter()
            try:
                return await route(*arguments, **named)
            finally:
                self.marks["done"] = time.perf_counter()

        return marked

    def _timing(self, read: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:  # noqa: ANN401 - passed through
            start = time.perf_counter()
            try:
                return read(*arguments)
            finally:
                self.validation += time.perf_counter() - start

        return timed


async def send_request(app: FastAPI, method: str, path: str, body: bytes, kind: str) -> int:
    """Sends one request as an ASGI call; returns the status of its response."""
    sent, status = False, 0
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            await gone.wait()
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    headers = [(b"host", b"127.0.0.1"), (b"content-length", str(len(body)).encode())]
    if kind:
        headers.append((b"content-type", kind.encode()))
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers,
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000), "state": {},
    }  # fmt: skip
    await app(scope, receive, send)
    return status


def totals(app: FastAPI) -> dict[str, float]:
    """Sums of the service's own histograms in seconds, over all labels."""
    sums = dict.fromkeys(METRICS, 0.0)
    for family in app.state.context.metrics.registry.collect():
        for found in family.samples:
            for part, name in METRICS.items():
                if found.name == f"{name}_sum":
                    sums[part] += found.value
    return sums


async def parts(app: FastAPI, watch: Stopwatch, requests: int, *question: Any) -> dict[str, float]:  # noqa: ANN401 - passed through
    """Microseconds a request: medians of the parts that are timed here, means of the service's metrics."""
    for _ in range(WARM_UP):
        await send_request(app, *question)
    before = totals(app)
    timed: dict[str, list[float]] = {"routing": [], "validation": [], "route": [], "response": [], "total": []}
    for _ in range(requests):
        watch.clear()
        start = time.perf_counter()
        status = await send_request(app, *question)
        end = time.perf_counter()
        if status != 200:
            raise SystemExit(f"{question[1]} got status {status}")
        marks = watch.marks
        timed["routing"].append(marks["routed"] - start)
        timed["validation"].append(watch.validation)
        timed["route"].append(marks["done"] - marks["routed"] - watch.validation)
        timed["response"].append(end - marks["done"])
        timed["total"].append(end - start)
    own = {part: (seconds - before[part]) / requests for part, seconds in totals(app).items()}
    middle = {part: statistics.median(times) for part, times in timed.items()}
    rest = statistics.mean(timed["route"]) - sum(own.values())
    ordered = {
        "routing": middle["routing"], "validation": middle["validation"], **own,
        "rest of the route": rest, "response": middle["response"], "total": middle["total"],
    }  # fmt: skip
    return {part: 1e6 * seconds for part, seconds in ordered.items()}


async def measure(image: bytes, requests: int) -> dict[str, dict[str, float]]:
    """Microseconds of each part, for a digit and for a translation."""
    app = create_app()
    watch = Stopwatch()
    watch.install()
    async with app.router.lifespan_context(app):
        return {
            "one digit": await parts(app, watch, requests, "GET", "/mnist/sample", b"", ""),
            "translation": await parts(
                app, watch, max(10, requests // 10), "POST", "/translate/horse2zebra", image, "image/jpeg"
            ),
        }


def main() -> None:
    """Reads the command line and prints a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, required=True, help="photograph to translate, a JPEG")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(measure(chosen.image.read_bytes(), chosen.requests))
    if chosen.json:
        print(json.dumps(found))
        return
    print(f"{'microseconds a request':24}" + "".join(f"{name:>14}" for name in found))
    for part in next(iter(found.values())):
        print(f"{part:24}" + "".join(f"{columns[part]:14.0f}" for columns in found.values()))


if __name__ == "__main__":
    main()
