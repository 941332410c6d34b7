"""The loaded models, each with its batcher."""

import logging
import mmap
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from service.card import Artefact, CardError, ModelCard, Task, read_card, unreadable, version_order
from service.engine.batcher import Batcher
from service.errors import Problem
from service.runtime.cpu import PROVIDER as CPU
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
WEIGHTS_OUTSIDE = b"\x0a\x08location\x12"
"""The entry of a tensor that names the file of its weights, as protobuf writes it."""
NO_MODELS = frozenset({"lost+found", "__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"})
"""Folders that file systems and archives create beside models."""


@dataclass(frozen=True)
class Model:
    """One loaded version of a model."""

    card: ModelCard
    folder: Path
    provider: str
    """ONNX Runtime's execution provider that runs the model."""
    artefact: Artefact
    """The loaded file."""
    fallback_reason: str | None
    """Why the model runs on the CPU with device=auto, or on CUDA in fp32 though it has a half-precision file."""
    batcher: Batcher

    @property
    def id(self) -> str:
        """<name>/<version>, as in the query parameter `model`."""
        return f"{self.card.name}/{self.card.version}"

    @property
    def fell_back_to_cpu(self) -> bool:
        """Whether the model runs on the CPU because no GPU could run it."""
        return self.fallback_reason is not None and self.provider == CPU


class Registry:
    """All models in one folder.

    The default model of a task or direction is the newest version under its plain name. Where CUDA runs a direction's
    reference generator, the default is the newest version of that.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Loads every model. Raises CardError if there is none or one is broken, DeviceError if the device fails."""
        self._root = settings.models
        folders = _folders(settings.models)
        if not folders:
            raise CardError(f"there is no model in {settings.models}: publish one with gan-export, or set GAN_MODELS")
        self._devices = Devices(settings)
        self.models = [_load(folder, self._devices, settings, metrics) for folder in folders]
        self.models.sort(key=lambda model: (model.card.name, version_order(model.card.version)))
        self._find_cached = cache(self._find)  # the loaded models never change
        metrics.device_fallback.set(any(model.fell_back_to_cpu for model in self.models))

    async def stop(self) -> None:
        """Finishes the requests that the models have accepted."""
        for model in self.models:
            await model.batcher.stop()
        self._devices.close()

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
        return (model.folder / model.artefact.file).relative_to(self._root).as_posix()

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


def _folders(root: Path) -> list[Path]:
    """Returns the folders of all versions. Raises CardError for a folder that cannot be read: it may hold a model."""
    try:
        return [version for name in _subfolders(root) for version in _subfolders(name)] if root.is_dir() else []
    except OSError as error:
        raise unreadable(error, root) from error


def _subfolders(folder: Path) -> list[Path]:
    """Returns the subfolders, except hidden ones and those that archives and volumes leave behind."""
    found = sorted(p for p in folder.iterdir() if p.is_dir())
    strays = [p for p in found if p.name[0] == "." or p.name in NO_MODELS]
    for path in strays:
        log.info("%s holds no model and is passed over", path)
    return [p for p in found if p not in strays]


def _load(folder: Path, devices: Devices, settings: Settings, metrics: Metrics) -> Model:
    card = read_card(folder)
    for file in filter(None, (card.full_artefact, card.half_artefact)):
        _refuse_weights_outside(folder / file.file)
    loaded = devices.load(folder, card)
    session, artefact, name = loaded.session, loaded.artefact, f"{card.name}/{card.version}"
    info = name, card.version, card.task, session.provider, artefact.precision, artefact.sha256
    metrics.model_info.labels(*info).set(1)
    metrics.expect_model(name)
    batcher = Batcher(name, session, loaded.slots, settings.queue_size, metrics, probe_inputs(card))
    return Model(card, folder, session.provider, artefact, loaded.fallback_reason, batcher)


def _refuse_weights_outside(model: Path) -> None:
    """Raises CardError for a model that reads weights from another file, which no hash covers."""
    if not model.stat().st_size:  # which cannot be mapped; ONNX Runtime says what it lacks
        return
    with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(WEIGHTS_OUTSIDE) >= 0:
            raise CardError(
                f"{model} keeps weights in another file, which its card's sha256 does not cover: export it again with "
                "gan-export, which keeps them inside"
            )
