"""Trials of changes of models under load: new versions, broken ones, and hostile files."""

import asyncio
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.reliability.clients import Tally, digit, load, quantile, translation
from benchmarks.reliability.process import Service, serving
from benchmarks.reliability.report import Finding
from service.card import CARD_FILE, MODEL_FILE, sha256_of
from service.settings import BUNDLED_MODELS

MIB = 2**20
NAMES = ("horse2zebra", "mnist")
"""Models that are replaced, in turn."""
PAUSE_SECONDS = 0.02
"""Mean pause of a client between a response and its next request: the cores have other work, and some rest."""
KEPT_SHARE = 1.10
NOTICED_SECONDS = 300.0
"""A version that is neither loaded nor refused by then counts as not noticed: a trial may take as long."""


def copy_bundled(root: Path) -> None:
    """Copies the bundled models."""
    shutil.copytree(BUNDLED_MODELS, root)


def publish(root: Path, name: str, version: str, breaks: Callable[[Path], object] | None = None) -> None:
    """Publishes the newest bundled version of a model under another version, as gan-export does: by renaming.

    `breaks` may change its files before that.
    """
    source = max((BUNDLED_MODELS / name).iterdir(), key=lambda folder: int(folder.name))
    new = root / name / f".{version}"
    shutil.copytree(source, new)
    card = json.loads((new / CARD_FILE).read_text())
    (new / CARD_FILE).write_text(json.dumps({**card, "version": version}))
    if breaks is not None:
        breaks(new)
    new.rename(root / name / version)


def rehash(folder: Path) -> None:
    """Gives the card the hash of the model as it is now."""
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps({**card, "sha256": sha256_of(folder / MODEL_FILE)}))


def _truncate(folder: Path) -> None:
    content = (folder / MODEL_FILE).read_bytes()
    (folder / MODEL_FILE).write_bytes(content[: len(content) // 2])


def _empty(folder: Path) -> None:
    (folder / MODEL_FILE).write_bytes(b"")
    rehash(folder)


def _without_card(folder: Path) -> None:
    (folder / CARD_FILE).unlink()


BREAKS = (_truncate, _empty, _without_card)


def seen(service: Service) -> tuple[set[str], set[str]]:
    """Returns the ids of the loaded and of the refused versions."""
    found = json.loads(service.get("/models")[1])
    return {one["id"] for one in found["models"]}, {one["id"] for one in found["refused"]}


async def noticed(service: Service, version_id: str) -> bool:
    """Waits until a version is loaded or refused; returns whether it is within NOTICED_SECONDS."""
    until = time.monotonic() + NOTICED_SECONDS
    while True:
        loaded, refused = await asyncio.to_thread(seen, service)
        if version_id in loaded | refused:
            return True
        if time.monotonic() > until:
            return False
        await asyncio.sleep(0.1)


def reloads(folder: Path, short: bool) -> Finding:
    """New versions arrive under load, every fifth broken; the ones before are deleted."""
    rounds, root = 2 if short else 50, folder / "models"
    copy_bundled(root)
    with serving(folder, "--models", str(root)) as service:
        failed, tally, spans, memory = asyncio.run(_reload(service, root, rounds))
        failed += service.rests()
    failed += [f"{count} x {ending}" for ending, count in tally.others(200).items()]
    during, between = (
        [took for began, took in tally.times if any(first <= began <= last for first, last in spans[kind])]
        for kind in ("during", "between")
    )
    ratios = {
        f"p{round(100 * share)} of requests during loads over that between": round(
            quantile(during, share) / quantile(between, share), 2
        )
        for share in (0.5, 0.99)
    }
    if not short and memory[-1] > KEPT_SHARE * memory[0]:
        failed.append(f"memory rose from {memory[0] / MIB:.0f} to {memory[-1] / MIB:.0f} MiB")
    return Finding(
        "reloads",
        "new versions of two models under load, every fifth broken, the versions before them deleted",
        f"{rounds} versions, {tally.endings.total():,} requests",
        failed,
        "nothing: every request got 200",
        {
            **ratios,
            "requests during loads and between": f"{len(during):,}, {len(between):,}",
            "MiB after the first ten and after all": f"{memory[0] / MIB:.0f}, {memory[-1] / MIB:.0f}",
        },
    )


Spans = dict[str, list[tuple[float, float]]]


async def _reload(service: Service, root: Path, rounds: int) -> tuple[list[str], Tally, Spans, list[float]]:
    failed: list[str] = []
    spans: Spans = {"during": [], "between": []}
    memory: list[float] = []
    newest: dict[str, str] = {}
    async with load(service.port, [digit, digit, digit, translation], PAUSE_SECONDS) as tally:
        await asyncio.sleep(2)
        for number in range(rounds):
            name, version = NAMES[number % 2], str(1000 + number)
            breaks = BREAKS[number // 5 % len(BREAKS)] if number % 5 == min(4, rounds - 1) else None
            began = time.monotonic()
            await asyncio.to_thread(publish, root, name, version, breaks)
            wanted = f"{name}/{version}"
            if not await noticed(service, wanted):
                failed.append(f"{wanted} was not noticed")
            ended = time.monotonic()
            loaded, _ = await asyncio.to_thread(seen, service)
            if (wanted in loaded) == (breaks is not None):
                failed.append(f"{wanted} is {'loaded' if breaks else 'not loaded'}")
            spans["during"].append((began, ended))
            if breaks is None:
                newest[name] = version
            for other in (root / name).iterdir():
                if name in newest and other.name != newest[name]:
                    await asyncio.to_thread(shutil.rmtree, other)
            quiet = time.monotonic()
            await asyncio.sleep(ended - began)  # as long as the load took
            spans["between"].append((quiet, time.monotonic()))
            if number == min(9, rounds // 2) or number == rounds - 1:
                await asyncio.sleep(7 if rounds > 2 else 0)  # what is deleted is unloaded after five seconds
                memory.append(service.resident_bytes)
    return failed, tally, spans, memory
