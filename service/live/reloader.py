"""Owns the changes of the registry while the service runs: one at a time, each tried before requests see it.

A version is loaded when its files have changed, and beside the one that serves. New requests go to the new one at once,
those in flight end where they began, and then the old one's session is freed. A version that does not work is refused
with its reason; what has been loaded goes on.
"""

import asyncio
import ctypes
import logging
import os
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from service.card import CardError
from service.live import trial
from service.live.folder import Signature, is_complete, signature_of, signatures
from service.live.in_flight import InFlight
from service.model import Model
from service.registry import Registry
from service.runtime.devices import DeviceError
from service.telemetry.metrics import Metrics, ModelChange

log = logging.getLogger("service")

T = TypeVar("T")

ABSENT_SECONDS = 5.0
"""A version whose folder is gone for so long is unloaded: one that is replaced in two steps is away for a moment."""


@dataclass(frozen=True)
class Refusal:
    """A version in the models folder that is not served as it is there."""

    id: str
    """<name>/<version>."""
    reason: str
    """Why, and what to do. Paths begin at the models folder."""


class UnknownNameError(Exception):
    """The models folder has no model of this name."""


class LastModelError(Exception):
    """The service would be left without any model."""


class Reloader:
    """Keeps the registry as the models folder is. Call every method on the event loop."""

    def __init__(
        self,
        registry: Registry,
        loaded: dict[Path, Signature],
        metrics: Metrics,
        in_flight: InFlight,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`loaded`: the folders' signatures before the registry loaded them."""
        self._registry, self._metrics, self._in_flight, self._clock = registry, metrics, in_flight, clock
        self._seen = {_id(folder): signature for folder, signature in loaded.items()}
        self._refused: dict[str, Refusal] = {}
        self._present = set(self._seen)
        self._folder_fault: str | None = None
        self._withheld: set[str] = set()
        self._absent_since: dict[str, float] = {}
        self._next_look: asyncio.TimerHandle | None = None
        self._lock = asyncio.Lock()
        # one thread for all: the C library keeps what each thread has freed for that thread
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._scans, self._releases = set[asyncio.Task[None]](), set[asyncio.Task[None]]()

    @property
    def refused(self) -> list[Refusal]:
        """The versions that are refused, by their ids."""
        return [self._refused[key] for key in sorted(self._refused)]

    @property
    def withheld(self) -> list[Refusal]:
        """The versions that `unload` keeps from being served, as the folder had them when it was last looked at."""
        return [Refusal(key, "unloaded by request") for key in sorted(self._present) if _name(key) in self._withheld]

    def scan_soon(self) -> None:
        """Starts a `scan`, without waiting for it."""
        _start(self.scan(), self._scans)

    async def scan(self) -> None:
        """Loads versions that are new or have changed, and unloads those that are gone. Logs what it refuses."""
        async with self._lock:
            await self._scan()

    async def load(self, name: str) -> None:
        """Loads the versions of a model that `unload` has unloaded, and tries again those that were refused.

        Raises CardError with the reasons when any is refused, UnknownNameError when the folder has none.
        """
        async with self._lock:
            found = {folder: seen for folder, seen in (await self._found()).items() if folder.parent.name == name}
            if not found:
                raise UnknownNameError(name)
            self._withheld.discard(name)
            for refusal in self.refused:
                if _name(refusal.id) == name:
                    self._seen.pop(refusal.id, None)
            await self._try_changed(found)
            if reasons := [refusal.reason for refusal in self.refused if _name(refusal.id) == name]:
                raise CardError("; ".join(reasons))

    async def unload(self, name: str) -> None:
        """Unloads every version of a model until `load`, or until the service starts again.

        Raises UnknownNameError when none is loaded, LastModelError when no other model is.
        """
        async with self._lock:
            models = [model for model in self._registry.models if model.card.name == name]
            if not models:
                raise UnknownNameError(name)
            if len(models) == len(self._registry.models):
                raise LastModelError(name)
            self._withheld.add(name)
            for model in models:
                self._unload(model)

    async def stop(self) -> None:
        """Ends what `scan_soon` has started, and frees the sessions that are no longer used."""
        if self._next_look is not None:
            self._next_look.cancel()
        for scan in self._scans:
            scan.cancel()
        await asyncio.gather(*self._scans, *self._releases, return_exceptions=True)
        self._thread.shutdown(wait=False)

    async def _found(self) -> dict[Path, Signature]:
        found = await asyncio.to_thread(signatures, self._registry.root)
        self._present = {_id(folder) for folder in found}
        return found

    async def _look(self) -> dict[Path, Signature]:
        """Returns what is in the folder; nothing, and logs it once, where it has no model or cannot be read."""
        try:
            found = await self._found()
            if not found:
                raise CardError(f"there is no model in {self._registry.root}")
        except CardError as error:
            if self._folder_fault != str(error):
                log.error("%s; the loaded models stay as they are", error)
            self._folder_fault = str(error)
            return {}
        self._folder_fault = None
        return found

    async def _scan(self) -> None:
        now, found = self._clock(), await self._look()
        if found:  # a volume that is away for a moment must not unload everything
            absent = [model for model in self._registry.models if model.id not in self._present]
            await self._try_changed(found)
            await self._unload_absent(absent, now)

    async def _try_changed(self, found: dict[Path, Signature]) -> None:
        for folder, changed in found.items():
            version_id = _id(folder)
            if folder.parent.name not in self._withheld and self._seen.get(version_id) != changed:
                await self._try(version_id, folder, changed)
        for gone in self._refused.keys() - self._present:
            del self._refused[gone]
            self._seen.pop(gone, None)
        self._metrics.models_refused.set(len(self._refused))

    async def _unload_absent(self, absent: list[Model], now: float) -> None:
        """Unloads the models whose folder has been gone for ABSENT_SECONDS; looks again where one has just gone.

        The last model stays, and so does the last one of a name whose new version is refused. `absent`: those whose
        folder was not there at the time `now`.
        """
        self._absent_since = {model.id: self._absent_since.get(model.id, now) for model in absent}
        waiting = False
        if any(now - since >= ABSENT_SECONDS for since in self._absent_since.values()):
            found = await self._look()  # the trials take seconds, in which a folder may have come back, or all be gone
            gone = [model for model in absent if found and model.id not in self._present]
            waiting, absent = gone != absent, gone
            self._absent_since = {key: since for key, since in self._absent_since.items() if key not in self._present}
        for model in absent:
            name, others = model.card.name, [other for other in self._registry.models if other is not model]
            awaited = any(_name(version_id) == name for version_id in self._refused)
            if not others or (awaited and not any(other.card.name == name for other in others)):
                continue
            if now - self._absent_since[model.id] >= ABSENT_SECONDS:
                self._unload(model)
            else:
                waiting = True
        if self._next_look is not None:
            self._next_look.cancel()
        self._next_look = asyncio.get_running_loop().call_later(ABSENT_SECONDS, self.scan_soon) if waiting else None

    async def _try(self, version_id: str, folder: Path, changed: Signature) -> None:
        """Loads a new or changed version, unless its content is the loaded one's."""
        self._seen[version_id] = changed
        try:
            await trial.run(folder)
            version = await self._in_thread(self._registry.load, folder)
            if await asyncio.to_thread(signature_of, folder) != changed:
                raise CardError(f"{folder} has changed while it was loaded")
        except (CardError, DeviceError, OSError) as error:
            # files that are on their way need nobody yet
            self._refuse(version_id, str(error), logging.ERROR if is_complete(changed) else logging.WARNING)
            return
        self._refused.pop(version_id, None)
        loaded = self._registry.get(version_id)
        if loaded is not None and loaded.card == version.card:
            return
        replaced = self._registry.add(version)
        self._record("loaded")
        if replaced is not None:
            _start(self._release(replaced), self._releases)

    def _refuse(self, version_id: str, reason: str, level: int) -> None:
        relative = reason.replace(f"{self._registry.root}/", "")
        self._refused[version_id] = Refusal(version_id, relative)
        self._record("refused")
        goes_on = "the one that is loaded goes on" if self._registry.get(version_id) else "it is not served"
        log.log(level, "%s is refused, %s: %s", version_id, goes_on, reason)

    def _unload(self, model: Model) -> None:
        self._registry.remove(model)
        self._seen.pop(model.id, None)
        self._record("unloaded")
        log.info("%s is unloaded", model.id)
        _start(self._release(model), self._releases)

    async def _release(self, model: Model) -> None:
        await self._in_flight.drain()
        await self._registry.release(model)
        await self._in_thread(_return_memory)
        log.info("the session of %s is freed", model.id)

    def _in_thread(self, work: Callable[..., T], *arguments: object) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _record(self, change: ModelChange) -> None:
        self._metrics.model_changes.labels(change).inc()


def _return_memory() -> None:
    """Gives freed memory back to the system: glibc keeps most of it for later, and a session is tens of megabytes."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:  # other C libraries do so by themselves
        trim(0)


def _start(work: Coroutine[None, None, None], tasks: set[asyncio.Task[None]]) -> None:
    """Runs `work` as a task, which `tasks` holds until it has ended."""
    task = asyncio.get_running_loop().create_task(work, context=Context())  # not that of a request
    tasks.add(task)
    task.add_done_callback(tasks.discard)


def _id(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


def _name(version_id: str) -> str:
    return version_id.partition("/")[0]
