"""The names of uvicorn that the protocol relies on."""

import asyncio

import pytest
import uvicorn
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service.server.protocol import (
    UVICORN_ATTRIBUTES,
    UVICORN_CONFIG_NAMES,
    UVICORN_CYCLE_ATTRIBUTES,
    UVICORN_FLOW_METHODS,
    UVICORN_METHODS,
    UVICORN_SERVER_ATTRIBUTES,
    UVICORN_SERVER_METHODS,
)

pytestmark = pytest.mark.anyio


async def test_uvicorn_has_every_name_that_the_protocol_relies_on() -> None:
    config, state = uvicorn.Config(Response("ok"), log_config=None), ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: HttpToolsProtocol(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b"ok"), 30)
    (protocol,) = state.connections
    missing = [name for name in UVICORN_METHODS if not callable(getattr(protocol, name, None))]
    missing += [name for name in UVICORN_ATTRIBUTES if not hasattr(protocol, name)]
    missing += [name for name in UVICORN_CYCLE_ATTRIBUTES if not hasattr(protocol.cycle, name)]
    missing += [name for name in UVICORN_FLOW_METHODS if not callable(getattr(protocol.flow, name, None))]
    writer.close()
    server.close()
    assert missing == []


async def test_uvicorn_has_every_name_that_the_runner_relies_on() -> None:
    server = uvicorn.Server(uvicorn.Config(Response("ok"), log_config=None, port=0))
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    missing = [name for name in UVICORN_SERVER_METHODS if not callable(getattr(server, name, None))]
    missing += [name for name in UVICORN_SERVER_ATTRIBUTES if not hasattr(server, name)]
    missing += [name for name in UVICORN_CONFIG_NAMES if not hasattr(server.config, name)]
    server.should_exit = True
    await running
    assert missing == []
