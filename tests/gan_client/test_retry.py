"""What is tried again and for how long, against a server that says what the test tells it, and against the service."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from tenacity import RetryCallState, Retrying

from gan_client import AsyncClient, Client, ClientError, ProblemError, UnreachableError
from gan_client.retry import Deadline, policy

from .conftest import Script

MODELS = (200, {"Content-Type": "application/json"}, b'{"models": []}')


def problem(status: int, kind: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    body = {"type": f"urn:gan:problem:{kind}", "detail": "do this", "request_id": "abc", "status": status}
    return status, {key.replace("_", "-"): value for key, value in headers.items()}, json.dumps(body).encode()


def test_a_busy_service_is_asked_again_after_the_time_that_it_says(scripted: Callable[..., Script]) -> None:
    script = scripted(
        problem(503, "queue-full", Retry_After="1"), problem(429, "rate-limited", Retry_After="1"), MODELS
    )
    began = time.monotonic()
    with Client(script.url) as client:
        assert client.models() == []
    assert len(script.requests) == 3
    assert time.monotonic() - began >= 2  # never earlier than asked; how much later depends on the machine


def test_a_closed_connection_and_a_proxy_without_service_are_tried_again(scripted: Callable[..., Script]) -> None:
    script = scripted((0, {}, b""), (502, {}, b"<html>"), MODELS)
    with Client(script.url) as client:
        assert client.models() == []
    assert len(script.requests) == 3


@pytest.mark.parametrize(
    "refusal",
    [
        problem(422, "invalid-parameter"),
        problem(404, "unknown-model"),
        problem(401, "key-missing"),
        problem(429, "over-the-limit"),  # more than the whole limit: waiting would not help
        problem(504, "deadline-exceeded"),
        problem(500, "inference-failed"),
        (307, {"Location": "/elsewhere"}, b""),
    ],
    ids=lambda response: str(response[0]),
)
def test_what_will_not_change_is_not_tried_again(scripted: Callable[..., Script], refusal: tuple) -> None:
    script = scripted(refusal, MODELS)
    with Client(script.url) as client, pytest.raises(ProblemError) as caught:
        client.models()
    assert caught.value.status == refusal[0]
    assert len(script.requests) == 1


def test_a_pause_that_the_deadline_does_not_allow_is_not_begun(scripted: Callable[..., Script]) -> None:
    script = scripted(problem(503, "draining", Retry_After="3600"))
    with Client(script.url, timeout=30) as client, pytest.raises(ProblemError, match="do this"):
        client.models()
    assert len(script.requests) == 1


def test_a_pause_that_the_service_asks_for_is_hardly_longer() -> None:
    arguments = policy(Deadline.after(60))
    state = RetryCallState(Retrying(**arguments), None, (), {})
    error = ProblemError(429, "rate-limited", "", retry_after=56)
    state.set_exception((ProblemError, error, None))
    pauses = [arguments["wait"](state) for _ in range(200)]
    assert 56 <= min(pauses) < max(pauses) <= 57


def test_a_client_that_does_not_wait_says_how_long_it_should(scripted: Callable[..., Script]) -> None:
    async def ask() -> None:
        async with AsyncClient(script.url, waits=False) as client:
            await client.models()

    script = scripted((0, {}, b""), problem(503, "queue-full", Retry_After="1"), MODELS)
    with pytest.raises(ProblemError) as caught:
        asyncio.run(ask())
    assert caught.value.retry_after == 1
    assert len(script.requests) == 2  # a lost connection is still tried again


@pytest.fixture
def trickle() -> Iterator[str]:
    """Address of a server that sends the list of models a byte at a time, for 20 seconds."""
    body = MODELS[2].rjust(80)

    def respond(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(2**16)
            connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode())
            for n in range(len(body)):
                connection.sendall(body[n : n + 1])
                time.sleep(0.25)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=respond, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_response_that_trickles_in_ends_with_the_deadline(trickle: str) -> None:
    with Client(trickle, timeout=1) as client, pytest.raises(UnreachableError, match="within 1 s"):
        client.models()

    async def ask() -> None:
        async with AsyncClient(trickle, timeout=1) as client:
            await client.models()

    with pytest.raises(UnreachableError, match="within 1 s"):
        asyncio.run(ask())


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b'{"models": [1]}'])
def test_what_is_no_gan_service_is_named(scripted: Callable[..., Script], body: bytes) -> None:
    async def ask() -> None:
        async with AsyncClient(script.url) as client:
            await client.models()

    script = scripted((200, {}, body))
    with Client(script.url) as client:
        for call in (
            client.models,
            client.sample,
            lambda: client.translate(b"", "horse2zebra"),
            lambda: asyncio.run(ask()),
        ):
            with pytest.raises(ClientError, match="not as a GAN service does"):
                call()
    assert len(script.requests) == 4


def test_tries_end_with_the_deadline(scripted: Callable[..., Script]) -> None:
    script = scripted(problem(503, "draining"))
    with Client(script.url, timeout=1.0) as client, pytest.raises(ProblemError):
        client.models()
    assert 1 < len(script.requests) < 5
    given = [float(headers["X-Request-Timeout"]) for _, headers in script.requests]
    assert given == sorted(given, reverse=True)  # each try tells what is left
    assert given[0] <= 1.0


def test_a_service_that_is_gone_is_named(unused_port: int) -> None:
    url = f"http://127.0.0.1:{unused_port}"
    with Client(url, timeout=0.5) as client, pytest.raises(UnreachableError, match="is the service running"):
        client.models()


def test_a_service_that_restarts_is_waited_for(unused_port: int, start_service: Callable) -> None:
    found: list[object] = []

    def ask() -> None:
        with Client(f"http://127.0.0.1:{unused_port}") as client:
            found.append(client.sample(2).array.shape)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.5)  # it has tried at least once
    assert found == []
    with start_service(port=unused_port):
        thread.join(60)
    assert found == [(2, 28, 28)]


def test_a_rate_limit_of_the_service_is_kept(start_service: Callable) -> None:
    with start_service("--rate-limit", "3/second") as address, Client(address) as client:
        began = time.monotonic()
        assert [client.sample().array.shape for _ in range(7)] == [(1, 28, 28)] * 7
        assert time.monotonic() - began > 1
        with pytest.raises(ProblemError) as caught:
            client.sample(4)
    assert caught.value.kind == "over-the-limit"


def test_the_key_comes_from_the_environment_or_the_caller(
    scripted: Callable[..., Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAN_CLIENT_KEY", "gan_one")
    script = scripted(MODELS)
    for key in (None, "gan_two"):
        with Client(script.url, key=key) as client:
            client.models()
    assert [headers["Authorization"] for _, headers in script.requests] == ["Bearer gan_one", "Bearer gan_two"]


def test_the_digits_between_two_seeds_are_asked_for(scripted: Callable[..., Script]) -> None:
    script = scripted(problem(404, "not-found"))
    with Client(script.url) as client, pytest.raises(ProblemError):
        client.interpolate(1, 9, steps=8)
    assert script.requests[0][0] == "/mnist/interpolate?from=1&to=9&steps=8&format=npy"


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
