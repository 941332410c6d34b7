"""The loaded models, each with its batcher."""

import logging
from functools import cache
from pathlib import Path

from service.card import CardError, Task, version_order
from service.engine.batcher import Batcher
from service.errors import Problem
from service.model import Model, Version, load_version, version_folders
from service.runtime.cuda_driver import PROVIDER as CUDA
from service.runtime.devices import Devices
from service.runtime.inputs import probe_inputs
from service.settings import Settings
from service.telemetry.metrics import Metrics

log = logging.getLogger("service")

PLAIN_SAMPLERS = ("mnist", "mnist-conditional")
"""Names of the default samplers, without and with labels."""
REFERENCE = "-reference"
"""Suffix of translators of the paper's size, which are the default where CUDA runs them."""


class Registry:
    """All models in one folder.

    The default model of a task or direction is the newest version under its plain name. Where CUDA runs a direction's
    reference generator, the default is the newest version of that.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Loads every model. Raises CardError if there is none or one is broken, DeviceError if the device fails."""
        self.root, self._settings, self._metrics = settings.models, settings, metrics
        folders = version_folders(self.root)
        if not folders:
            raise CardError(f"there is no model in {self.root}: publish one with gan-export, or set GAN_MODELS")
        self._devices = Devices(settings)
        self.models: list[Model] = []
        """Sorted by name and version. A change replaces the list, so that each request sees one state."""
        self._find_cached = cache(self._find)
        for version in [self.load(folder) for folder in folders]:  # all or none
            self.add(version)

    def load(self, folder: Path) -> Version:
        """Loads and runs a version beside the others, for `add`. May be called in a thread. Raises as `__init__`."""
        return load_version(folder, self._devices)

    def add(self, version: Version) -> Model | None:
        """Gives a loaded version the requests that come from now on. Returns the model that had its id, if any."""
        card, loaded = version.card, version.loaded
        self._metrics.expect_model(version.id)
        batcher = Batcher(
            version.id, loaded.session, loaded.slots, self._settings.queue_size, self._metrics, probe_inputs(card)
        )
        model = Model(card, version.folder, loaded.session.provider, loaded.artefact, loaded.fallback_reason, batcher)
        log.info("serving %s on %s in %s", model.id, model.provider, model.artefact.precision)
        if model.fell_back_to_cpu:
            log.warning("device=auto: %s runs on the CPU because of: %s", model.id, model.fallback_reason)
        elif model.fallback_reason:
            log.warning("%s runs in fp32 because its half-precision file failed: %s", model.id, model.fallback_reason)
        replaced = self.get(model.id)
        self._change([*(one for one in self.models if one is not replaced), model])
        return replaced

    def remove(self, model: Model) -> None:
        """Gives a model no more requests."""
        self._change([one for one in self.models if one is not model])

    async def release(self, model: Model) -> None:
        """Frees the session of a model that `add` returned or `remove` got, once no request uses it any more."""
        await model.batcher.stop()
        model.batcher.close()
        if self.get(model.id) is None:
            self._metrics.forget_model(model.id)

    async def stop(self) -> None:
        """Finishes the requests that the models have accepted."""
        for model in self.models:
            await model.batcher.stop()
        self._devices.close()

    def get(self, model_id: str) -> Model | None:
        """Returns the model <name>/<version> if it is loaded."""
        return next((model for model in self.models if model.id == model_id), None)

    def _change(self, models: list[Model]) -> None:
        before, self.models = self.models, sorted(models, key=_order)
        self._find_cached.cache_clear()
        for model in self.models:
            self._metrics.model_info.labels(*_info(model)).set(1)
        for gone in {_info(model) for model in before} - {_info(model) for model in self.models}:
            self._metrics.model_info.remove(*gone)
        self._metrics.device_fallback.set(any(model.fell_back_to_cpu for model in self.models))

    @property
    def directions(self) -> list[str]:
        """Directions of the loaded translators."""
        return sorted({m.card.direction for m in self.models if m.card.direction})

    def is_default(self, model: Model) -> bool:
        """Returns whether the model serves requests that name none."""
        card = model.card
        return _default(self._candidates(card.task, card.direction, card.label is not None)) is model

    def find(self, task: Task, direction: str | None, wanted: str | None, labelled: bool = False) -> Model:
        """Returns the model `wanted` (<name> or <name>/<version>), or the default.

        `labelled`: only samplers with labels, which generate a given digit. Raises Problem 404 with the models that
        exist, or 422 when the model needs a digit.
        """
        return self._find_cached(task, direction, wanted, labelled)

    def versions(self, name: str) -> list[Model]:
        """Returns the versions of a model, the newest last. Raises Problem 404 with the models that exist."""
        found = [model for model in self.models if model.card.name == name]
        if not found:
            names = sorted({model.card.name for model in self.models})
            raise _unknown(name, names)
        return found

    def version(self, name: str, version: str | None) -> Model:
        """Returns a version of a model, by default the newest. Raises Problem 404 with those that exist."""
        found = self.versions(name)
        if version is None:
            return found[-1]
        for model in found:
            if model.card.version == version:
                return model
        raise _unknown(f"{name}/{version}", [model.id for model in found])

    def _find(self, task: Task, direction: str | None, wanted: str | None, labelled: bool) -> Model:
        candidates = self._candidates(task, direction, labelled)
        matching = [m for m in candidates if wanted in (None, m.id, m.card.name)]
        if not matching:
            raise self._not_found(task, direction, wanted, labelled)
        return _default(matching) if wanted is None else matching[-1]

    def relative_file(self, model: Model) -> str:
        """Returns the path of the loaded file, relative to the models folder."""
        return (model.folder / model.artefact.file).relative_to(self.root).as_posix()

    def _not_found(self, task: Task, direction: str | None, wanted: str | None, labelled: bool) -> Problem:
        """Returns why `find` finds no model, with what exists instead."""
        if direction is not None and direction not in self.directions:
            existing = self.directions
            detail = f"there is no such direction; the directions are: {', '.join(existing)}"
            return Problem(404, "unknown-direction", detail, available=existing)
        existing = [m.id for m in self._candidates(task, direction, labelled)]
        others = self._candidates(task, direction, not labelled)
        if not labelled and any(wanted in (None, m.id, m.card.name) for m in others):
            name = wanted or others[-1].id
            detail = f'{name} needs a digit: add digit=0..9 to the query, or with POST "digits": [0..9] to the JSON'
            return Problem(422, "digit-missing", detail)
        if not existing and labelled:
            return Problem(404, "no-labels", "no loaded model has labels: leave out digit, or with POST digits")
        if not existing:
            return Problem(
                404, "unknown-task", "no digit model is loaded; the task is: translate", available=["translate"]
            )
        return _unknown(f"{wanted}", existing, " for this request")

    def _candidates(self, task: Task, direction: str | None, labelled: bool) -> list[Model]:
        return [
            m
            for m in self.models
            if (m.card.task, m.card.direction, m.card.label is not None) == (task, direction, labelled)
        ]


def _order(model: Model) -> tuple[str, tuple[int, str]]:
    return model.card.name, version_order(model.card.version)


def _info(model: Model) -> tuple[str, ...]:
    """Returns the labels of the metric `gan_model_info`."""
    card, artefact = model.card, model.artefact
    return model.id, card.version, card.task, model.provider, artefact.precision, artefact.sha256


def _unknown(wanted: str, existing: list[str], place: str = "") -> Problem:
    detail = f"there is no model {wanted!r}{place}; the models are: {', '.join(existing)}"
    return Problem(404, "unknown-model", detail, available=existing)


def _default(candidates: list[Model]) -> Model:
    """Returns the default of `candidates`, which are sorted by name and version.

    Only a GPU runs the reference generator by default: on the CPU it takes fifteen times as long as the compact one.
    """
    reference = [m for m in candidates if m.card.name == f"{m.card.direction}{REFERENCE}" and m.provider == CUDA]
    plain = [m for m in candidates if m.card.name in {m.card.direction, *PLAIN_SAMPLERS}]
    return (reference or plain or candidates)[-1]
