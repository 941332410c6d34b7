"""The sockets of the public port and the management port."""

import ipaddress
import os
import socket
from dataclasses import dataclass

from service.settings import Settings

BACKLOG = 2048
"""Connections that the system holds until they are accepted."""


class PortError(Exception):
    """A port cannot be used; the message says which setting to change."""


@dataclass(frozen=True)
class Ports:
    """Bound sockets that do not listen yet: an address in use is found before the models are loaded."""

    public: list[socket.socket]
    management: list[socket.socket]
    """Empty when one port serves everything."""


def bind(settings: Settings) -> Ports:
    """Binds the addresses. Raises PortError."""
    public = _bind(settings.host, settings.port, "GAN_PORT")
    if settings.management_port is None:
        return Ports(public, [])
    return Ports(public, _bind(settings.host, settings.management_port, "GAN_MANAGEMENT_PORT"))


def listen(ports: Ports) -> None:
    """Lets connections in. Raises PortError when another process has begun to listen since `bind`."""
    _listen(ports.public, "GAN_PORT")
    _listen(ports.management, "GAN_MANAGEMENT_PORT")


def address(sockets: list[socket.socket]) -> str:
    """Returns the sockets' address as a URL."""
    host, port = sockets[0].getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def only_loopback(sockets: list[socket.socket]) -> bool:
    """Returns whether only processes of this machine can reach the sockets."""
    return all(ipaddress.ip_address(bound.getsockname()[0].partition("%")[0]).is_loopback for bound in sockets)


def _bind(host: str, port: int, setting: str) -> list[socket.socket]:
    """Binds a socket for every address of `host`."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = f"GAN_HOST: {host} is not an address ({error}): use 127.0.0.1, or 0.0.0.0 for all addresses"
        raise PortError(reason) from error
    bound: list[socket.socket] = []
    try:
        for family, kind, protocol, _, name in found:
            listener = socket.socket(family, kind, protocol)
            listener.setblocking(False)
            bound.append(listener)
            if os.name == "posix":  # elsewhere it would let two processes share the port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(name)
    except OSError as error:
        for listener in bound:
            listener.close()
        raise _unusable(host, port, setting, error) from error
    return bound


def _listen(sockets: list[socket.socket], setting: str) -> None:
    for listener in sockets:
        try:
            listener.listen(BACKLOG)
        except OSError as error:
            host, port = listener.getsockname()[:2]
            raise _unusable(host, port, setting, error) from error


def _unusable(host: str, port: int, setting: str, error: OSError) -> PortError:
    reason = f"{setting}: cannot listen on {host}:{port}: {error.strerror}"
    return PortError(f"{reason}; choose another port, or stop the process that uses it")
