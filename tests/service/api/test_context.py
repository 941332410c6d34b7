"""Deadlines of what runs in codec threads, and what a request leaves behind."""

import asyncio
import gc
import logging
import os
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from service.engine.batcher import Batcher
from service.engine.queue import DeadlineError, InferenceError
from service.images import codec_process, codecs, preprocess
from service.runtime.slots import Slot, Slots
from service.telemetry.metrics import Metrics

pytestmark = pytest.mark.anyio
TARGET = "/translate/horse2zebra"


@pytest.mark.parametrize("stage", ["decode", "from_model"])
async def test_a_deadline_holds_while_an_image_waits_for_a_codec_thread(
    make_app: Callable[..., FastAPI],
    serve: Callable[[FastAPI], Awaitable[httpx.AsyncClient]],
    encoded: Callable[..., bytes],
    noise: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
) -> None:
    app = make_app(threads=2)
    client, body = await serve(app), encoded(noise(64, 64), "PNG")
    opened, ran, real = threading.Event(), [], getattr(codecs, stage)

    def held(*arguments: Any) -> Any:
        ran.append(stage)
        assert opened.wait(30)
        return real(*arguments)

    monkeypatch.setattr(codecs, stage, held)
    headers = {"Content-Type": "image/png", "X-Request-Timeout": "0.5"}
    responses = await asyncio.gather(
        *(client.post(f"{TARGET}?size=64", content=body, headers=headers) for _ in range(4))
    )
    assert [response.status_code for response in responses] == [504] * 4
    opened.set()
    await asyncio.sleep(0.2)
    assert len(ran) == 2  # GAN_THREADS of them; the others left the queue undone


class Unusable(Exception):
    """What a session raises."""


class BrokenSession:
    """Fails after a while."""

    provider, inline_items = "none", 0

    def batch_size(self, shape: tuple[int, ...], queued: int) -> int:
        return queued

    def run(self, slot: Slot, inputs: np.ndarray, alone: bool) -> np.ndarray:
        time.sleep(0.2)
        raise Unusable


@pytest.mark.parametrize(("seconds", "error"), [(0.05, DeadlineError), (30.0, InferenceError)])
async def test_a_request_that_fails_is_freed_without_the_garbage_collector(seconds: float, error: type) -> None:
    batcher = Batcher("m/1", BrokenSession(), Slots(1), 8, Metrics())
    failed = False
    logging.disable()  # pytest keeps records, and they the error's frames
    gc.disable()
    try:
        rows = np.zeros((1, 4))
        left = weakref.ref(rows)
        try:  # pytest.raises would keep the frames
            await batcher.submit(rows, seconds)
        except error:
            failed = True
        assert failed
        await batcher.stop()
        del rows
        await asyncio.sleep(0.05)
        assert left() is None
    finally:
        gc.enable()
        logging.disable(logging.NOTSET)


async def test_a_large_image_goes_through_a_process_and_back(
    client: httpx.AsyncClient, encoded: Callable[..., bytes], noise: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for stage in ("decode", "encode"):
        monkeypatch.setattr(codecs, stage, None)  # none of it is called here
    image, headers = noise(1000, 600), {"Content-Type": "image/png"}
    response = await client.post(f"{TARGET}?size=native", content=encoded(image, "PNG"), headers=headers)
    assert response.status_code == 200, response.text
    monkeypatch.undo()
    assert (np.asarray(codecs.decode(response.content, 10**6).image) == 255 - np.asarray(image)).all()
    broken = await client.post(TARGET, content=encoded(image, "PNG")[:-2000], headers=headers)
    assert (broken.status_code, broken.json()["type"]) == (422, "urn:gan:problem:broken-image")


def crash(*_: object) -> None:
    os.abort()


def last(*_: object) -> None:
    time.sleep(60)


async def test_a_codec_that_crashes_or_never_ends_takes_one_request_with_it(
    make_app: Callable[..., FastAPI],
    serve: Callable[[FastAPI], Awaitable[httpx.AsyncClient]],
    encoded: Callable[..., bytes],
    noise: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(codec_process, "LEAST_SECONDS", 0.1)
    client, headers = await serve(make_app(threads=1)), {"Content-Type": "image/png", "X-Request-Timeout": "10"}
    body = encoded(noise(1000, 600), "PNG")
    for work, status, kind in ((crash, 500, "codec-failed"), (last, 504, "deadline-exceeded")):
        with monkeypatch.context() as patched:
            patched.setattr(preprocess, "prepare", work)
            response = await client.post(TARGET, content=body, headers=headers)
        assert (response.status_code, response.json()["type"]) == (status, f"urn:gan:problem:{kind}")
        assert (await client.post(TARGET, content=body, headers={"Content-Type": "image/png"})).status_code == 200
