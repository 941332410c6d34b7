"""What becomes of the service's models when its folder changes, with the real engine."""

import asyncio
import gc
import json
import logging
import shutil
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import onnx
import pytest
from fastapi import FastAPI

from service.card import CARD_FILE, MODEL_FILE, CardError, sha256_of
from service.live import reloader as module
from service.live import trial
from service.live.folder import signatures
from service.live.in_flight import InFlight
from service.live.reloader import LastModelError, Reloader, UnknownNameError
from service.runtime.cpu import CpuSession

pytestmark = pytest.mark.anyio

Publish = Callable[..., Path]
Serve = Callable[[FastAPI], Awaitable[httpx.AsyncClient]]
PATIENCE_S = 30.0


class Live:
    """An application whose models folder the test changes."""

    def __init__(self, app: FastAPI, root: Path, client: httpx.AsyncClient) -> None:
        self.root, self.client = root, client
        self.reloader: Reloader = app.state.context.reloader
        self.registry, self.metrics = app.state.context.registry, app.state.context.metrics

    async def models(self) -> dict[str, bool]:
        """Ids of the loaded models, and whether each is a default."""
        return {one["id"]: one["default"] for one in (await self.client.get("/models")).json()["models"]}

    async def refused(self) -> dict[str, str]:
        """Reasons of the refused versions."""
        return {one["id"]: one["reason"] for one in (await self.client.get("/models")).json()["refused"]}

    async def sampled_by(self, **query: str) -> str:
        """Id of the model that samples a digit."""
        return (await self.client.get("/mnist/sample", params=query)).raise_for_status().headers["x-model"]

    async def value(self, series: str) -> float | None:
        """A value of /metrics; None where there is no such series."""
        lines = (await self.client.get("/metrics")).text.splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{series} ")), None)


@pytest.fixture
async def live(tmp_path: Path, publish: Publish, make_app: Callable[..., FastAPI], serve: Serve) -> Live:
    for name in ("mnist", "horse2zebra"):
        publish(tmp_path / "models", name)
    app = make_app(models=tmp_path / "models")
    return Live(app, tmp_path / "models", await serve(app))


def rewrite(folder: Path, change: Callable[[onnx.ModelProto], object]) -> None:
    """Changes the model of a version, with its hash in the card."""
    model = onnx.load(folder / MODEL_FILE)
    change(model)
    onnx.save(model, folder / MODEL_FILE)
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps({**card, "sha256": sha256_of(folder / MODEL_FILE)}))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


async def test_a_new_version_becomes_the_default_and_the_old_one_stays(live: Live, publish: Publish) -> None:
    publish(live.root, "mnist", "2")
    assert await live.sampled_by() == "mnist/1"
    await live.reloader.scan()
    assert await live.models() == {"horse2zebra/1": True, "mnist/1": False, "mnist/2": True}
    assert [await live.sampled_by(**query) for query in ({}, {"model": "mnist/1"})] == ["mnist/2", "mnist/1"]
    assert (await live.client.get("/v2/models/mnist")).json()["versions"] == ["1", "2"]
    assert await live.value('gan_model_changes_total{change="loaded"}') == 1
    assert await live.value('gan_queue_depth{model="mnist/2"}') == 0


async def test_a_model_of_a_new_name_is_served(live: Live, publish: Publish) -> None:
    publish(live.root, "zebra2horse")
    await live.reloader.scan()
    assert "zebra2horse/1" in await live.models()


async def test_a_request_ends_on_the_session_where_it_began(live: Live, publish: Publish, gate) -> None:
    request = asyncio.create_task(live.client.get("/mnist/sample?seed=1"))
    await gate.reached()
    rewrite(live.root / "mnist" / "1", lambda model: model.graph.initializer[1].CopyFrom(zeros(784, "gain")))
    await live.reloader.scan()
    later = asyncio.create_task(live.client.get("/mnist/sample?seed=1"))
    gate.opened.set()
    old, new = await request, await later
    assert (old.status_code, new.status_code) == (200, 200)
    assert old.content != new.content
    assert old.headers["etag"] != new.headers["etag"]


def zeros(count: int, name: str) -> onnx.TensorProto:
    return onnx.helper.make_tensor(name, onnx.TensorProto.FLOAT, [count], [0.0] * count)


async def test_the_old_session_is_freed_after_its_last_request(live: Live, gate) -> None:
    old = weakref.ref(live.registry.get("mnist/1"))
    request = asyncio.create_task(live.client.get("/mnist/sample?seed=1"))
    await gate.reached()
    gc.collect()  # sessions of other tests
    sessions = weakref.WeakSet(one for one in gc.get_objects() if isinstance(one, CpuSession))
    before = len(sessions)
    rewrite(live.root / "mnist" / "1", lambda model: model.graph.initializer[1].CopyFrom(zeros(784, "gain")))
    await live.reloader.scan()
    await asyncio.sleep(0.05)
    assert len(sessions) == before
    gate.opened.set()
    await request
    del request
    await until(lambda: len(sessions) == before - 1)
    await until(lambda: not gc.collect() and old() is None)
    assert await live.value('gan_queue_depth{model="mnist/1"}') == 0


def wrong_hash(folder: Path) -> None:
    (folder / MODEL_FILE).write_bytes((folder / MODEL_FILE).read_bytes() + b"\0")


def half_copied(folder: Path) -> None:
    (folder / MODEL_FILE).write_bytes((folder / MODEL_FILE).read_bytes()[:-100])


def without_card(folder: Path) -> None:
    (folder / CARD_FILE).unlink()


def foreign(folder: Path) -> None:
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps({**card, "name": "cats"}))


def no_model(folder: Path) -> None:
    (folder / MODEL_FILE).write_bytes(b"no model")
    rehash(folder)


def rehash(folder: Path) -> None:
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps({**card, "sha256": sha256_of(folder / MODEL_FILE)}))


def without_model(folder: Path) -> None:
    (folder / MODEL_FILE).unlink()


def unreadable(folder: Path) -> None:
    (folder / CARD_FILE).unlink()
    (folder / CARD_FILE).symlink_to("x" * 256)


BROKEN = [
    (wrong_hash, "has sha256", "ERROR"),
    (half_copied, "has sha256", "ERROR"),
    (without_card, "has no card.json", "WARNING"),
    (without_model, "has no model.onnx", "WARNING"),
    (foreign, "is the card of cats/2", "ERROR"),
    (no_model, "does not run as its card says", "ERROR"),
    (unreadable, "card.json: File name too long", "ERROR"),
]


@pytest.mark.parametrize(("breaks", "reason", "level"), BROKEN, ids=[breaks.__name__ for breaks, *_ in BROKEN])
async def test_a_broken_version_is_refused_with_its_reason_and_the_old_one_goes_on(
    live: Live,
    publish: Publish,
    caplog: pytest.LogCaptureFixture,
    breaks: Callable[[Path], None],
    reason: str,
    level: str,
) -> None:
    breaks(publish(live.root, "mnist", "2"))
    with caplog.at_level(logging.WARNING):
        await live.reloader.scan()
    assert await live.sampled_by() == "mnist/1"
    refused = await live.refused()
    assert list(refused) == ["mnist/2"]
    assert reason in refused["mnist/2"]
    assert str(live.root) not in refused["mnist/2"]
    (line,) = caplog.messages
    assert caplog.records[0].levelname == level
    assert line.startswith("mnist/2 is refused, it is not served: ")
    assert reason in line
    assert await live.value("gan_models_refused") == 1
    assert await live.value('gan_model_changes_total{change="refused"}') == 1
    await live.reloader.scan()  # nothing has changed: it is not tried again
    assert await live.value('gan_model_changes_total{change="refused"}') == 1


async def test_other_models_change_beside_an_unreadable_version(live: Live, publish: Publish) -> None:
    unreadable(live.root / "horse2zebra" / "1")
    publish(live.root, "mnist", "2")
    await live.reloader.scan()
    assert await live.models() == {"horse2zebra/1": True, "mnist/1": False, "mnist/2": True}
    assert list(await live.refused()) == ["horse2zebra/1"]


async def test_a_version_that_is_completed_later_is_loaded(live: Live, publish: Publish) -> None:
    folder = publish(live.root, "mnist", "2")
    complete = (folder / MODEL_FILE).read_bytes()
    half_copied(folder)
    await live.reloader.scan()
    assert "mnist/2" in await live.refused()
    (folder / MODEL_FILE).write_bytes(complete)
    await live.reloader.scan()
    assert await live.refused() == {}
    assert await live.sampled_by() == "mnist/2"
    assert await live.value("gan_models_refused") == 0


async def test_a_loaded_version_whose_files_break_goes_on(live: Live) -> None:
    half_copied(live.root / "mnist" / "1")
    await live.reloader.scan()
    assert await live.sampled_by() == "mnist/1"
    assert "mnist/1" in await live.refused()


async def test_a_version_whose_files_are_only_touched_is_not_loaded_again(live: Live) -> None:
    model = live.registry.get("mnist/1")
    (live.root / "mnist" / "1" / CARD_FILE).touch()
    await live.reloader.scan()
    assert live.registry.get("mnist/1") is model
    assert await live.value('gan_model_changes_total{change="loaded"}') == 0


async def test_a_version_is_unloaded_once_its_folder_has_been_gone_for_a_while(
    live: Live, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(live.root, "mnist", "2")
    await live.reloader.scan()
    shutil.rmtree(live.root / "mnist" / "2")
    await live.reloader.scan()
    assert await live.sampled_by() == "mnist/2"  # it may come back in a moment
    monkeypatch.setattr(module, "ABSENT_SECONDS", 0.0)
    await live.reloader.scan()
    assert await live.models() == {"horse2zebra/1": True, "mnist/1": True}
    assert await live.value('gan_model_changes_total{change="unloaded"}') == 1
    async with asyncio.timeout(PATIENCE_S):
        while await live.value('gan_queue_depth{model="mnist/2"}') is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    infos = [line for line in (await live.client.get("/metrics")).text.splitlines() if "gan_model_info{" in line]
    assert not [line for line in infos if "mnist/2" in line]


async def test_a_gone_folder_is_looked_at_again_without_another_change(
    live: Live, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ABSENT_SECONDS", 0.2)
    publish(live.root, "mnist", "2")
    await live.reloader.scan()
    shutil.rmtree(live.root / "mnist" / "2")
    await live.reloader.scan()
    await until(lambda: live.registry.get("mnist/2") is None)


async def test_an_old_version_stays_when_its_successor_is_refused(
    live: Live, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a volume is swapped for one with a broken release."""
    monkeypatch.setattr(module, "ABSENT_SECONDS", 0.0)
    wrong_hash(publish(live.root, "mnist", "2"))
    shutil.rmtree(live.root / "mnist" / "1")
    await live.reloader.scan()
    assert await live.sampled_by() == "mnist/1"


@pytest.mark.parametrize(("seconds_gone", "then"), [(1.0, "still gone"), (6.0, "back"), (6.0, "all gone")])
async def test_a_version_is_not_unloaded_for_the_time_that_trials_take(
    live: Live, publish: Publish, monkeypatch: pytest.MonkeyPatch, seconds_gone: float, then: str
) -> None:
    publish(live.root, "mnist", "2")
    await live.reloader.scan()
    seconds = 0.0
    context = live.registry, signatures(live.root), live.metrics, InFlight()
    reloader = Reloader(*context, clock=lambda: seconds)
    shutil.rmtree(live.root / "mnist" / "2")
    await reloader.scan()

    async def slow(folder: Path) -> None:
        nonlocal seconds
        seconds += 10.0
        if then == "back":
            publish(live.root, "mnist", "2")
        if then == "all gone":
            live.root.rename(live.root.with_name("away"))

    monkeypatch.setattr(trial, "run", slow)
    publish(live.root, "mnist", "3")
    seconds = seconds_gone
    await reloader.scan()
    await reloader.stop()
    kept = ["horse2zebra/1", "mnist/1", "mnist/2", "mnist/3"]
    assert list(await live.models()) == [one for one in kept if one != "mnist/3" or then != "all gone"]


@pytest.mark.parametrize("left", ["nothing", "an empty folder"])
async def test_a_folder_that_is_gone_or_empty_unloads_nothing(
    live: Live, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, left: str
) -> None:
    monkeypatch.setattr(module, "ABSENT_SECONDS", 0.0)
    live.root.rename(live.root.with_name("away"))
    if left == "an empty folder":
        live.root.mkdir()
    for _ in range(2):
        await live.reloader.scan()
    assert list(await live.models()) == ["horse2zebra/1", "mnist/1"]
    assert [line for line in caplog.messages if "the loaded models stay" in line] == [caplog.messages[-1]]


async def test_a_model_that_keeps_failing_is_cured_by_a_new_version(
    live: Live, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    batcher = live.registry.get("mnist/1").batcher
    with monkeypatch.context() as patch:
        patch.setattr(type(batcher), "failing_seconds", 1.0)
        assert (await live.client.get("/healthz/ready")).status_code == 503
    rewrite(live.root / "mnist" / "1", lambda model: model.graph.initializer[1].CopyFrom(zeros(784, "gain")))
    await live.reloader.scan()
    assert (await live.client.get("/healthz/ready")).status_code == 200


async def test_a_model_can_be_unloaded_and_loaded_again(live: Live) -> None:
    await live.sampled_by()
    await live.reloader.unload("mnist")
    await live.reloader.scan()  # its files are still there
    assert await live.models() == {"horse2zebra/1": True}
    assert (await live.client.get("/mnist/sample")).status_code == 404
    async with asyncio.timeout(PATIENCE_S):
        while await live.value('gan_batch_items_count{model="mnist/1"}') is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await live.reloader.load("mnist")
    assert await live.sampled_by() == "mnist/1"
    assert await live.value('gan_batch_items_count{model="mnist/1"}') == 1


async def test_loading_a_broken_model_raises_its_reason(live: Live, publish: Publish) -> None:
    wrong_hash(publish(live.root, "mnist", "2"))
    for _ in range(2):
        with pytest.raises(CardError, match="has sha256"):
            await live.reloader.load("mnist")


async def test_loading_a_model_tries_no_other_one(live: Live, publish: Publish) -> None:
    wrong_hash(publish(live.root, "horse2zebra", "2"))
    publish(live.root, "mnist", "2")
    await live.reloader.load("mnist")
    assert await live.sampled_by() == "mnist/2"
    assert await live.refused() == {}
    await live.reloader.scan()
    assert list(await live.refused()) == ["horse2zebra/2"]


async def test_unknown_names_and_the_last_model_are_errors(live: Live) -> None:
    for call in (live.reloader.load, live.reloader.unload):
        with pytest.raises(UnknownNameError):
            await call("cats")
    await live.reloader.unload("mnist")
    with pytest.raises(LastModelError):
        await live.reloader.unload("horse2zebra")


async def test_the_page_follows_the_models(live: Live) -> None:
    assert 'data-task="sample" hidden' not in (await live.client.get("/")).text
    await live.reloader.unload("mnist")
    assert 'data-task="sample" hidden' in (await live.client.get("/")).text
