"""Several images in one request: the archive, its failures, and what happens under load, late and after a hang-up."""

import asyncio
import email
import io
import json
import zipfile
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image

from service.api.translation import bulk
from service.engine.batcher import Batcher

pytestmark = pytest.mark.anyio

#: The tiny model returns 255 - x.
INVERT = "/translate/horse2zebra"

Encoded = Callable[..., bytes]
Noise = Callable[..., Image.Image]
MakeApp = Callable[..., FastAPI]
Serve = Callable[[FastAPI], Awaitable[httpx.AsyncClient]]
ProblemOf = Callable[..., dict[str, Any]]
Files = list[tuple[str, tuple[str, bytes]]]


def form(*files: tuple[str, bytes]) -> Files:
    return [("file", file) for file in files]


def opened(response: httpx.Response) -> dict[str, bytes]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def grey(encoded: Encoded) -> Callable[[int], bytes]:
    """`grey(level)`: a PNG of one colour."""
    return lambda level: encoded(Image.new("RGB", (64, 64), (level,) * 3), "PNG")


# what comes in, what goes out


async def test_several_images_come_back_in_a_zip_file(
    client: httpx.AsyncClient, encoded: Encoded, noise: Noise
) -> None:
    files = {"a.png": encoded(noise(100, 80), "PNG"), "b.JPG": encoded(noise(50, 60), "JPEG")}
    files["c.gif"] = encoded(noise(20, 30), "GIF")
    response = await client.post(INVERT, files=form(*files.items()))
    entries = opened(response)
    alone = [(await client.post(INVERT, content=body)).content for body in files.values()]
    assert entries == dict(zip(["a.png", "b.jpg", "c.png"], alone, strict=True))
    assert response.headers["x-model"] == "horse2zebra/1"
    assert response.headers["vary"] == "Accept"
    assert response.headers["content-disposition"] == 'attachment; filename="horse2zebra.zip"'
    assert response.headers["server-timing"].startswith("decode;dur=")


async def test_multipart_comes_back_if_it_is_preferred(client: httpx.AsyncClient, grey: Callable[[int], bytes]) -> None:
    headers = {"Accept": "application/zip;q=0.5, multipart/mixed"}
    files = form(("a.png", grey(0)), ("b.png", b"no image"))
    response = await client.post(INVERT, files=files, headers=headers)
    whole = b"Content-Type: " + response.headers["content-type"].encode() + b"\r\n\r\n" + response.content
    parts = {part.get_filename(): part for part in email.message_from_bytes(whole).get_payload()}
    assert parts["a.png"].get_content_type() == "image/png"
    assert parts["a.png"]["X-Size"] == "256x256"
    assert Image.open(io.BytesIO(parts["a.png"].get_payload(decode=True))).getpixel((9, 9)) == (255, 255, 255)
    assert parts["b.problem.json"].get_content_type() == "application/problem+json"
    assert json.loads(parts["b.problem.json"].get_payload(decode=True))["status"] == 415


@pytest.mark.parametrize(
    "accept", ["application/zip", "application/zip, image/png", "image/png;q=0.1, application/zip"]
)
async def test_one_image_comes_in_an_archive_if_that_is_asked_for(
    client: httpx.AsyncClient, grey: Callable[[int], bytes], accept: str
) -> None:
    for body in ({"files": {"file": ("x.png", grey(0))}}, {"content": grey(0)}):
        response = await client.post(INVERT, headers={"Accept": accept}, **body)
        assert list(opened(response)) == ["x.png" if "files" in body else "image.png"]


@pytest.mark.parametrize("accept", ["*/*", "image/png, application/zip", "application/zip;q=0, image/*", "text/html"])
async def test_one_image_comes_back_as_it_is_otherwise(
    client: httpx.AsyncClient, grey: Callable[[int], bytes], accept: str
) -> None:
    response = await client.post(INVERT, files={"file": grey(0)}, headers={"Accept": accept})
    assert response.headers["content-type"] == "image/png"


async def test_several_images_for_a_client_that_accepts_images_alone_are_refused(
    client: httpx.AsyncClient, grey: Callable[[int], bytes], problem_of: ProblemOf
) -> None:
    files = form(("a", grey(0)), ("b", grey(1)))
    response = await client.post(INVERT, files=files, headers={"Accept": "image/png"})
    assert "send one image a request" in problem_of(response, 406, "not-acceptable")["detail"]


@pytest.mark.parametrize(
    ("query", "accept", "names"),
    [
        ("?format=webp", "*/*", ["a.webp", "a-2.webp"]),
        ("", "application/zip, image/webp;q=0.5", ["a.webp", "a-2.webp"]),
        ("", "application/zip", ["a.jpg", "a-2.png"]),
        ("?format=webp", "image/png", ["a.webp", "a-2.webp"]),
        ("?format=webp", "application/zip, image/gif", ["a.webp", "a-2.webp"]),
    ],
)
async def test_parameters_and_accept_choose_the_format_of_all(
    client: httpx.AsyncClient, encoded: Encoded, noise: Noise, query: str, accept: str, names: list[str]
) -> None:
    files = form(("a.jpg", encoded(noise(9, 9), "JPEG")), ("../a.png", encoded(noise(9, 9), "PNG")))
    response = await client.post(f"{INVERT}{query}", files=files, headers={"Accept": accept})
    assert sorted(opened(response)) == sorted(names)


@pytest.mark.parametrize("accept", ["application/zip, image/gif", "image/jpeg;q=0, application/zip"])
@pytest.mark.parametrize("count", [1, 2])
async def test_an_archive_whose_entries_the_client_does_not_accept_is_refused(
    client: httpx.AsyncClient, grey: Callable[[int], bytes], problem_of: ProblemOf, accept: str, count: int
) -> None:
    files = form(*[("a", grey(0))] * count)
    detail = problem_of(await client.post(INVERT, files=files, headers={"Accept": accept}), 406, "not-acceptable")[
        "detail"
    ]
    assert "beside the archive" in detail


async def test_the_format_by_parameter_leaves_the_choice_of_the_archive_to_accept(
    client: httpx.AsyncClient, grey: Callable[[int], bytes]
) -> None:
    files, headers = form(("a", grey(0)), ("b", grey(1))), {"Accept": "image/png, multipart/*"}
    response = await client.post(f"{INVERT}?format=webp", files=files, headers=headers)
    assert response.headers["content-type"].startswith("multipart/mixed")


async def test_fields_of_the_form_count_for_all(client: httpx.AsyncClient, grey: Callable[[int], bytes]) -> None:
    files = form(("a.png", grey(0)), ("b.png", grey(1)))
    assert sorted(opened(await client.post(INVERT, files=files, data={"format": "jpg"}))) == ["a.jpg", "b.jpg"]


async def test_a_hundred_images_are_served(client: httpx.AsyncClient, grey: Callable[[int], bytes]) -> None:
    entries = opened(await client.post(INVERT, files=form(*((f"{i}.png", grey(i)) for i in range(100)))))
    for level in range(100):
        assert Image.open(io.BytesIO(entries[f"{level}.png"])).getpixel((9, 9)) == (255 - level,) * 3


async def test_what_cannot_be_translated_is_a_problem_document_among_the_others(
    client: httpx.AsyncClient, encoded: Encoded, noise: Noise
) -> None:
    good = encoded(noise(64, 64), "PNG")
    files = form(("good.png", good), ("text.png", b"no image"), ("broken.png", good[:2000]), ("empty.png", b""))
    response = await client.post(INVERT, files=files)
    entries = opened(response)
    assert Image.open(io.BytesIO(entries.pop("good.png"))).size == (64, 64)
    problems = {name: json.loads(document) for name, document in entries.items()}
    assert {name: (problem["status"], problem["type"]) for name, problem in problems.items()} == {
        "text.problem.json": (415, "urn:gan:problem:not-an-image"),
        "broken.problem.json": (422, "urn:gan:problem:broken-image"),
        "empty.problem.json": (422, "urn:gan:problem:empty-body"),
    }
    assert {problem["request_id"] for problem in problems.values()} == {response.headers["x-request-id"]}


async def test_a_failing_model_is_a_problem_for_each_image_that_tells_nothing_of_its_insides(
    gate: Any, make_app: MakeApp, serve: Serve, grey: Callable[[int], bytes]
) -> None:
    client = await serve(make_app())
    gate.error = RuntimeError("secret")
    gate.opened.set()
    entries = opened(await client.post(INVERT, files=form(("a", grey(0)), ("b", grey(1)))))
    assert [json.loads(document)["type"] for document in entries.values()] == ["urn:gan:problem:inference-failed"] * 2
    assert not any(word in document for document in entries.values() for word in (b"secret", b"Traceback"))


async def test_a_bug_is_an_internal_error_for_its_image_alone(
    client: httpx.AsyncClient, grey: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, calls = Batcher.submit, []

    async def once(batcher: Batcher, *arguments: Any) -> np.ndarray:
        calls.append(batcher)
        if len(calls) == 1:
            raise ZeroDivisionError
        return await submit(batcher, *arguments)

    monkeypatch.setattr(Batcher, "submit", once)
    entries = opened(await client.post(INVERT, files=form(("a", grey(0)), ("b", grey(1)))))
    documents = [json.loads(body) for name, body in entries.items() if name.endswith(".json")]
    assert [document["type"] for document in documents] == ["urn:gan:problem:internal-error"]
    assert len(entries) == 2


# what happens under load


async def test_each_image_counts_towards_the_rate_limit(
    make_app: MakeApp, serve: Serve, grey: Callable[[int], bytes], problem_of: ProblemOf
) -> None:
    client = await serve(make_app(rate_limit="5/hour"))
    response = await client.post(INVERT, files=form(("a", grey(0)), ("b", grey(1)), ("c", grey(2))))
    assert response.headers["ratelimit"].startswith('"images";r=2;')
    problem_of(await client.post(INVERT, files=form(*((str(i), grey(i)) for i in range(4)))), 429, "rate-limited")
    detail = problem_of(await client.post(INVERT, files=form(*[("x", b"x")] * 6)), 429, "over-the-limit")["detail"]
    assert "asks for 6 images" in detail


def cancelled_in(metrics: str) -> float:
    start = 'gan_requests_total{outcome="cancelled",route="/translate/{direction}"}'
    (line,) = (line for line in metrics.splitlines() if line.startswith(start))
    return float(line.rpartition(" ")[2])


def depth_of(metrics: str) -> float:
    (line,) = (line for line in metrics.splitlines() if line.startswith('gan_queue_depth{model="horse2zebra/1"}'))
    return float(line.rpartition(" ")[2])


async def test_few_images_of_a_request_are_in_the_queue_at_once(
    gate: Any, make_app: MakeApp, serve: Serve, grey: Callable[[int], bytes]
) -> None:
    client = await serve(make_app(threads=2))
    many = asyncio.create_task(client.post(INVERT, files=form(*((f"{i}.png", grey(i)) for i in range(30)))))
    await gate.reached()
    depths = []
    for _ in range(20):
        depths.append(depth_of((await client.get("/metrics")).text))
        await asyncio.sleep(0.01)
    assert 0 < max(depths) + 1 <= bulk.IN_FLIGHT  # one or two run at the gate
    gate.opened.set()
    assert len(opened(await many)) == 30


async def test_a_short_queue_is_not_filled_by_one_request(
    make_app: MakeApp, serve: Serve, grey: Callable[[int], bytes]
) -> None:
    client = await serve(make_app(queue_size=1))
    entries = opened(await client.post(INVERT, files=form(*((f"{i}.png", grey(i)) for i in range(9)))))
    assert sorted(entries) == [f"{i}.png" for i in range(9)]


async def test_without_time_for_any_image_the_response_is_a_504(
    gate: Any, make_app: MakeApp, serve: Serve, grey: Callable[[int], bytes], problem_of: ProblemOf
) -> None:
    client = await serve(make_app())
    files = form(*((f"{i}.png", grey(i)) for i in range(9)))
    response = await client.post(INVERT, files=files, headers={"X-Request-Timeout": "0.2"})
    problem_of(response, 504, "deadline-exceeded")


async def test_without_room_for_any_image_the_response_is_a_503(
    gate: Any, make_app: MakeApp, serve: Serve, grey: Callable[[int], bytes], problem_of: ProblemOf
) -> None:
    client = await serve(make_app(queue_size=1))
    waiting = [asyncio.create_task(client.post(INVERT, content=grey(0)))]
    await gate.reached()
    body = multipart(*((f"{i}.png", grey(i)) for i in range(3)))
    arrived = asyncio.Event()

    async def slowly() -> Any:
        yield body[:10]
        await arrived.wait()
        yield body[10:]

    many = asyncio.create_task(client.post(INVERT, content=slowly(), headers=FORM))  # there is room when it comes
    await asyncio.sleep(0.05)
    waiting.append(asyncio.create_task(client.post(INVERT, content=grey(0))))
    async with asyncio.timeout(30):
        while depth_of((await client.get("/metrics")).text) < 1:
            pass
    arrived.set()
    response = await many
    problem_of(response, 503, "queue-full")
    assert int(response.headers["retry-after"]) >= 1
    gate.opened.set()
    assert [(await response).status_code for response in waiting] == [200, 200]


# while the archive is sent

Connect = Callable[..., Any]
FORM = {"Content-Type": "multipart/form-data; boundary=a"}


def multipart(*files: tuple[str, bytes]) -> bytes:
    head = '--a\r\nContent-Disposition: form-data; name="file"; filename="{}"\r\n\r\n'
    return b"".join(head.format(name).encode() + body + b"\r\n" for name, body in files) + b"--a--\r\n"


class Turnstile:
    """Lets as many images through inference as it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passes, self.ended = asyncio.Semaphore(0), []
        submit = Batcher.submit

        async def held(batcher: Batcher, *arguments: Any) -> np.ndarray:
            try:
                await self.passes.acquire()
            except asyncio.CancelledError:
                self.ended.append("cancelled")
                raise
            return await submit(batcher, *arguments)

        monkeypatch.setattr(Batcher, "submit", held)


async def test_an_entry_is_sent_while_others_are_translated(
    connect: Connect, make_app: MakeApp, serve: Serve, grey: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, turnstile = make_app(), Turnstile(monkeypatch)
    await serve(app)
    connection = connect(INVERT, multipart(*((f"{i}.png", grey(i)) for i in range(3))), **FORM)
    request = asyncio.create_task(app(connection.scope, connection.receive, connection.send))
    turnstile.passes.release()
    await asyncio.wait_for(connection.began.wait(), 30)
    assert connection.sent[0]["status"] == 200
    assert connection.body.startswith(b"PK\x03\x04")
    assert not request.done()
    for _ in range(2):
        turnstile.passes.release()
    await asyncio.wait_for(request, 30)
    with zipfile.ZipFile(io.BytesIO(connection.body)) as archive:
        assert sorted(archive.namelist()) == ["0.png", "1.png", "2.png"]


async def test_images_that_are_late_are_problems_behind_those_that_were_sent(
    connect: Connect, make_app: MakeApp, serve: Serve, grey: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, turnstile = make_app(), Turnstile(monkeypatch)
    await serve(app)
    headers = {"X-Request-Timeout": "1"}
    connection = connect(INVERT, multipart(*((f"{i}.png", grey(i)) for i in range(8))), **FORM, **headers)
    request = asyncio.create_task(app(connection.scope, connection.receive, connection.send))
    turnstile.passes.release()
    await asyncio.wait_for(connection.began.wait(), 30)
    await asyncio.sleep(1.1)  # until the time is over
    for _ in range(8):
        turnstile.passes.release()
    await asyncio.wait_for(request, 30)
    with zipfile.ZipFile(io.BytesIO(connection.body)) as archive:
        documents = [json.loads(archive.read(name)) for name in archive.namelist() if name.endswith(".json")]
    assert [document["type"] for document in documents] == ["urn:gan:problem:deadline-exceeded"] * 7


@pytest.mark.parametrize("begun", [True, False], ids=["while it is sent", "before it begins"])
async def test_a_hang_up_ends_all_that_is_left(
    connect: Connect,
    make_app: MakeApp,
    serve: Serve,
    grey: Callable[[int], bytes],
    monkeypatch: pytest.MonkeyPatch,
    begun: bool,
) -> None:
    app, turnstile = make_app(), Turnstile(monkeypatch)
    client = await serve(app)
    connection = connect(INVERT, multipart(*((f"{i}.png", grey(i)) for i in range(20))), **FORM)
    request = asyncio.create_task(app(connection.scope, connection.receive, connection.send))
    if begun:
        turnstile.passes.release()
        await asyncio.wait_for(connection.began.wait(), 30)
    else:
        await asyncio.sleep(0.3)
    connection.hang_up.set()
    await asyncio.wait_for(request, 30)
    await asyncio.sleep(0)
    assert cancelled_in((await client.get("/metrics")).text) == 1
    assert len(turnstile.ended) == bulk.IN_FLIGHT
    assert depth_of((await client.get("/metrics")).text) == 0
    turnstile.passes.release()
    assert (await client.post(INVERT, content=grey(0))).status_code == 200


async def test_a_client_that_reads_nothing_holds_few_images_and_is_left(
    connect: Connect, make_app: MakeApp, serve: Serve, grey: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "STALL_SECONDS", 1.0)
    submit, submitted = Batcher.submit, []

    async def noted(batcher: Batcher, *arguments: Any) -> np.ndarray:
        submitted.append(batcher)
        return await submit(batcher, *arguments)

    monkeypatch.setattr(Batcher, "submit", noted)
    app = make_app()
    client = await serve(app)
    connection = connect(INVERT, multipart(*((f"{i}.png", grey(i)) for i in range(50))), **FORM)
    connection.reads.clear()
    await asyncio.wait_for(app(connection.scope, connection.receive, connection.send), 30)
    assert cancelled_in((await client.get("/metrics")).text) == 1
    assert len(submitted) <= 2 * bulk.IN_FLIGHT
    assert not connection.sent[-1].get("body")
