"""The process: the public port and, when it is set, the management port beside it in one event loop.

SIGTERM begins the drain: ready answers 503 and new connections are refused at once, accepted requests get
`shutdown_seconds` to finish, the management port goes last so that all of it can be watched.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from service.management import create_management_app
from service.server.lingering import LingeringProtocol
from service.settings import Settings

log = logging.getLogger("service")

BACKLOG = 2048
"""Connections that the system holds until they are accepted."""

KEEP_ALIVE_SECONDS = 75
"""How long a connection may idle, or take over a request's head: longer than load balancers keep theirs, or they would
write into a closed one."""

SETTLE_SECONDS = 0.5
"""How long a connection that is open when SIGTERM comes may take to send its request."""


class PortError(Exception):
    """A port that cannot be had; the message says which setting to change."""


@dataclass(frozen=True)
class Ports:
    """Bound sockets, which do not listen yet: an address that is taken is known before models are loaded."""

    public: list[socket.socket]
    management: list[socket.socket]
    """Empty when one port serves everything."""


def bind(settings: Settings) -> Ports:
    """Takes the addresses. Raises PortError."""
    public = _bind(settings.host, settings.port, "GAN_PORT")
    if settings.management_port is None:
        return Ports(public, [])
    return Ports(public, _bind(settings.host, settings.management_port, "GAN_MANAGEMENT_PORT"))


def run(app: FastAPI, ports: Ports, settings: Settings) -> None:
    """Serves `app` until a signal, and through the drain. Raises PortError before anything is served."""
    _listen(ports.public, "GAN_PORT")
    _listen(ports.management, "GAN_MANAGEMENT_PORT")
    common: dict[str, Any] = {
        "log_config": None,
        "log_level": settings.log_level,
        "access_log": False,
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        "http": LingeringProtocol,
    }
    config = uvicorn.Config(app, lifespan="on", timeout_graceful_shutdown=settings.shutdown_seconds, **common)
    public = _Server(config)
    watcher = _Server(uvicorn.Config(create_management_app(app), lifespan="off", timeout_graceful_shutdown=1, **common))

    def on_signal(number: int, frame: FrameType | None) -> None:
        if app.state.lifecycle.draining and number == signal.SIGINT:  # a second Ctrl-C waits for nothing
            os._exit(128 + number)
        app.state.lifecycle.draining = True
        public.handle_exit(number, frame)

    async def serve() -> None:
        async with asyncio.TaskGroup() as servers:
            if ports.management:
                log.info("management port running on %s", _address(ports.management))
                servers.create_task(watcher.serve(ports.management))
            log.info("service running on %s", _address(ports.public))
            await public.serve(ports.public)
            watcher.should_exit = True

    _favour_the_loop()
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner, _signals(on_signal):
        runner.run(serve())


def _favour_the_loop() -> None:
    """Sets Python up for an event loop beside threads that compute.

    What was loaded stays, and what a request leaves is freed without the garbage collector: it need not stop the loop
    to search. A thread that has the interpreter's lock gives it up sooner than after Python's 5 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    sys.setswitchinterval(0.0005)


class _Server(uvicorn.Server):
    """Leaves signals to the process, which has two servers, and cuts nobody off who has connected."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Closes the door behind those who wait at it, lets requests arrive that are on their way, then as ever."""
        for listener in sockets or []:
            await self._take_in_the_rest(listener)
        for server in self.servers:
            server.close()
        await asyncio.sleep(SETTLE_SECONDS)
        await super().shutdown(sockets)

    async def _take_in_the_rest(self, listener: socket.socket) -> None:
        """Accepts what the system has: closing would reset it."""
        while os.name == "posix":
            try:
                connection, _ = listener.accept()
            except OSError:  # there is none
                return
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
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


def _bind(host: str, port: int, setting: str) -> list[socket.socket]:
    """A socket for every address of `host`."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise PortError(f"GAN_HOST: {host} is no address ({error}): use 127.0.0.1, or 0.0.0.0 for all") from error
    bound: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in found:
            listener = socket.socket(family, kind, protocol)
            listener.setblocking(False)
            bound.append(listener)
            if os.name == "posix":  # elsewhere it would let two processes share the port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
    except OSError as error:
        for listener in bound:
            listener.close()
        raise _unusable(host, port, setting, error) from error
    return bound


def _listen(sockets: list[socket.socket], setting: str) -> None:
    """Lets connections in; another process may have been faster since `bind`."""
    for listener in sockets:
        try:
            listener.listen(BACKLOG)
        except OSError as error:
            host, port = listener.getsockname()[:2]
            raise _unusable(host, port, setting, error) from error


def _unusable(host: str, port: int, setting: str, error: OSError) -> PortError:
    reason = f"{setting}: cannot listen on {host}:{port}: {error.strerror}"
    return PortError(f"{reason}; choose another, or stop what listens there")


def _address(sockets: list[socket.socket]) -> str:
    host, port = sockets[0].getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
