"""Runs the process: the public port and, if set, the management port, in one event loop.

SIGTERM begins the drain: readiness answers 503 and new connections are refused at once. Accepted requests get
`shutdown_seconds` to finish. The management port closes last, so that the drain can be observed. SIGHUP has the models
folder looked at.
"""

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from service.api.security import HEADERS
from service.app import create_management_app
from service.server import sockets
from service.server.protocol import HttpProtocol
from service.server.sockets import Ports
from service.settings import Settings

log = logging.getLogger("service")

FORWARDED_IPS = "FORWARDED_ALLOW_IPS"
"""Variable with the addresses of proxies, from which uvicorn takes the client's address in X-Forwarded-For."""
KEEP_ALIVE_SECONDS = 75
"""How long a connection may be idle, or take for a request's head. Longer than load balancers keep connections: they
would send a request into a closed one."""

SETTLE_SECONDS = 0.5
"""How long a connection that is open at SIGTERM may take to send its request."""


def run(app: FastAPI, ports: Ports, settings: Settings) -> None:
    """Serves `app` until a signal, and through the drain. Raises PortError before anything is served."""
    sockets.listen(ports)
    common: dict[str, Any] = {
        "log_config": None,
        "log_level": settings.log_level,
        "access_log": False,
        "server_header": False,
        "proxy_headers": FORWARDED_IPS in os.environ,  # else any local client could choose its address
        "headers": HEADERS,
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        "http": HttpProtocol,
    }
    config = uvicorn.Config(app, lifespan="on", timeout_graceful_shutdown=settings.shutdown_seconds, **common)
    public = _Server(config)
    management = create_management_app(app)
    watcher = _Server(uvicorn.Config(management, lifespan="off", timeout_graceful_shutdown=1, **common))
    lifecycle = app.state.context.lifecycle

    def on_signal(number: int, frame: FrameType | None) -> None:
        if lifecycle.draining and number == signal.SIGINT:  # a second Ctrl-C ends the process at once
            os._exit(128 + number)
        lifecycle.draining = True
        public.handle_exit(number, frame)

    async def serve() -> None:
        if hasattr(signal, "SIGHUP"):
            reloader = app.state.context.reloader
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloader.scan_soon)
        async with asyncio.TaskGroup() as servers:
            if ports.management:
                log.info("management port running on %s", sockets.address(ports.management))
                servers.create_task(watcher.serve(ports.management))
            log.info("service running on %s", sockets.address(ports.public))
            await public.serve(ports.public)
            watcher.should_exit = True

    _tune_interpreter()
    _allow_open_files()
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner, _signals(on_signal):
        runner.run(serve())


def _allow_open_files() -> None:
    """Raises the limit on open files, one for each connection, as far as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _tune_interpreter() -> None:
    """Configures Python for an event loop beside threads that compute.

    Objects loaded so far are never collected again, and the garbage collector stops the loop rarely: requests leave no
    cycles. A thread gives up the interpreter's lock sooner than after Python's 5 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    sys.setswitchinterval(0.0005)


class _Server(uvicorn.Server):
    """Leaves signals to the process, which has two servers, and serves every client that has connected."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures no signals."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drains the accept backlog, stops listening, then shuts down normally."""
        for listener in sockets or []:
            await self._accept_backlog(listener)
        for server in self.servers:
            server.close()
        await asyncio.sleep(SETTLE_SECONDS)
        await super().shutdown(sockets)

    async def _accept_backlog(self, listener: socket.socket) -> None:
        """Accepts the connections that the system holds: closing the listener would reset them."""
        while os.name == "posix":
            try:
                connection, _ = listener.accept()
            except OSError:  # none is left
                return
            await asyncio.get_running_loop().connect_accepted_socket(self._make_protocol, connection)

    def _make_protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]  # typed as any protocol, it is uvicorn's
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


@contextlib.contextmanager
def _signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
