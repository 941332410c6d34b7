"""Changes of the models folder as operators and their tools make them, and that each is noticed."""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from service.card import CARD_FILE, MODEL_FILE
from service.live import watcher

pytestmark = pytest.mark.anyio

Publish = Callable[..., Path]
Start = Callable[[Path], Awaitable[httpx.AsyncClient]]
PATIENCE_S = 30.0


BOTH = pytest.mark.parametrize("start", ["events", "poll"], indirect=True)


@pytest.fixture
async def start(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    make_app: Callable[..., FastAPI],
    serve: Callable[[FastAPI], Awaitable[httpx.AsyncClient]],
) -> Start:
    """`await start(root)`: a client of an application that watches `root`, by default by events."""
    monkeypatch.setattr(watcher, "POLL_MS", 200)
    monkeypatch.setattr(watcher, "RETRY_SECONDS", 0.2)

    async def started(root: Path) -> httpx.AsyncClient:
        client = await serve(make_app(models=root, watch_models=getattr(request, "param", "events")))
        await asyncio.sleep(1.0)  # the watch begins beside the requests
        return client

    return started


async def serves(client: httpx.AsyncClient, model_id: str) -> None:
    """Waits until a sample comes from this model. No request before may fail."""
    async with asyncio.timeout(PATIENCE_S):
        while (await client.get("/mnist/sample")).raise_for_status().headers["x-model"] != model_id:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_version_that_is_renamed_into_place(tmp_path: Path, publish: Publish, start: Start) -> None:
    """As gan-export and rsync do."""
    publish(tmp_path / "models", "mnist")
    client = await start(tmp_path / "models")
    publish(tmp_path / "new", "mnist", "2").rename(tmp_path / "models" / "mnist" / "2")
    await serves(client, "mnist/2")


async def test_a_version_whose_files_grow_in_place(tmp_path: Path, publish: Publish, start: Start) -> None:
    """As `kubectl cp` writes them, slowly, the card first."""
    publish(tmp_path / "models", "mnist")
    client = await start(tmp_path / "models")
    new, folder = publish(tmp_path / "new", "mnist", "2"), tmp_path / "models" / "mnist" / "2"
    folder.mkdir()
    for name in (CARD_FILE, MODEL_FILE):
        content = (new / name).read_bytes()
        with (folder / name).open("wb") as file:
            for part in (content[:500], content[500:]):
                file.write(part)
                file.flush()
                await asyncio.sleep(0.8)
    await serves(client, "mnist/2")
    assert (await client.get("/models")).json()["refused"] == []


@BOTH
async def test_a_volume_as_kubernetes_swaps_it(tmp_path: Path, publish: Publish, start: Start) -> None:
    """The folder has a link `..data`, which is replaced, and links into it."""
    root = tmp_path / "models"
    publish(root / "..2026_1", "mnist")
    (root / "..data").symlink_to("..2026_1")
    (root / "mnist").symlink_to("..data/mnist")
    client = await start(root)
    await serves(client, "mnist/1")
    for number, version in ((2, "2"), (3, "3")):
        publish(root / f"..2026_{number}", "mnist", version)
        (root / "..data_tmp").symlink_to(f"..2026_{number}")
        (root / "..data_tmp").rename(root / "..data")
        shutil.rmtree(root / f"..2026_{number - 1}")
        await serves(client, f"mnist/{version}")


async def test_a_release_folder_behind_a_link(tmp_path: Path, publish: Publish, start: Start) -> None:
    """GAN_MODELS is a link, which is replaced while other files beside it change too."""
    for version in ("1", "2", "3"):
        publish(tmp_path / "releases" / version, "mnist", version)
    (tmp_path / "current").symlink_to("releases/1")
    client = await start(tmp_path / "current")
    for version in ("2", "3"):
        (tmp_path / "unrelated").write_text(version)
        (tmp_path / "next").symlink_to(f"releases/{version}")
        (tmp_path / "next").rename(tmp_path / "current")
        await serves(client, f"mnist/{version}")


async def test_a_folder_that_goes_and_comes_back_is_watched_again(
    tmp_path: Path, publish: Publish, start: Start
) -> None:
    root = tmp_path / "models"
    publish(root, "mnist")
    client = await start(root)
    root.rename(tmp_path / "away")
    await asyncio.sleep(1.5)
    await serves(client, "mnist/1")
    (tmp_path / "away").rename(root)
    await asyncio.sleep(1.0)
    publish(root, "mnist", "2")
    await serves(client, "mnist/2")


@BOTH
async def test_a_name_that_is_not_utf8_does_not_end_the_watch(tmp_path: Path, publish: Publish, start: Start) -> None:
    """watchfiles ends with an error at such a name, alone or in a group."""
    root = tmp_path / "models"
    publish(root, "mnist")
    client = await start(root)
    for version in (b"2", b"3"):
        os.mkdir(os.fsencode(root) + b"/\xff" + version)
        await asyncio.sleep(1.5)
        publish(root, "mnist", version.decode())
        await serves(client, f"mnist/{version.decode()}")
    refused = (await client.get("/models")).raise_for_status().json()["refused"]
    assert refused == []


async def test_an_end_of_the_watch_is_logged(
    models: Path, make_app: Callable[..., FastAPI], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A panic of watchfiles' Rust part is no Exception, and nothing here can cause one."""

    class Panic(BaseException):
        pass

    async def panics(*_: object, **__: object) -> AsyncIterator[None]:
        raise Panic
        yield

    monkeypatch.setattr(watcher, "awatch", panics)
    with pytest.raises(Panic):
        await watcher.follow(models, make_app().state.context.reloader, "events")
    assert f"{models} is no longer watched" in caplog.text


def test_a_folder_is_looked_at_where_the_system_has_no_watch_left(tmp_path: Path, publish: Publish) -> None:
    """In a namespace with a limit of its own."""
    limited = ["unshare", "-Ur", "sh", "-c", 'echo 0 >/proc/sys/user/max_inotify_instances && exec "$@"', "sh"]
    try:
        subprocess.run([*limited, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this system lets no process make a namespace with unshare")
    publish(tmp_path, "mnist")
    command = [sys.executable, "-m", "service", "--port", "0", "--device", "cpu", "--models", str(tmp_path)]
    with subprocess.Popen([*limited, *command], stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr
        ending = threading.Timer(PATIENCE_S, running.kill)
        ending.start()
        told = []
        for line in running.stderr:
            if "cannot be watched" in line:
                told.append(line)
                publish(tmp_path, "mnist", "2")
            elif "serving mnist/2" in line:
                publish(tmp_path, "mnist", "3")
            elif "serving mnist/3" in line:
                break
        ending.cancel()
        running.terminate()
        running.communicate()
        assert running.returncode == 0
    (line,) = told
    assert "Too many open files" in line
