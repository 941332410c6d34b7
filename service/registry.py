"""The models that are served, each with its batcher."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from service.card import Artefact, CardError, ModelCard, Task, read_card, unreadable
from service.engine.batcher import Batcher
from service.errors import Problem
from service.runtime.cpu import PROVIDER as CPU
from service.runtime.cuda_driver import PROVIDER as CUDA
from service.runtime.devices import Devices
from service.runtime.inputs import probe_rows
from service.settings import Settings
from service.telemetry.metrics import Metrics

PLAIN_SAMPLERS = ("mnist", "mnist-conditional")
"""Names of samplers that answer by default, with and without a digit asked for."""
REFERENCE = "-reference"
"""Ending of the names of translators as large as the paper's, which answer by default where CUDA runs them."""


@dataclass(frozen=True)
class Model:
    """One published version, loaded."""

    card: ModelCard
    folder: Path
    provider: str
    """ONNX Runtime's name of what runs it."""
    artefact: Artefact
    """Which of its files that is."""
    fallback_reason: str | None
    """Why it runs on the CPU with device=auto, or on CUDA in fp32 though it has a half-precision file."""
    batcher: Batcher

    @property
    def id(self) -> str:
        """<name>/<version>, what `model=` takes."""
        return f"{self.card.name}/{self.card.version}"

    @property
    def fell_back_to_cpu(self) -> bool:
        """Whether a GPU was to run it if one could."""
        return self.fallback_reason is not None and self.provider == CPU


class Registry:
    """All models under one folder.

    The default of a task or direction is the newest version of the plain name; of a direction whose reference
    generator runs on CUDA, the newest of that.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Loads every model. Raises CardError when there is none or one is broken, DeviceError when it cannot run."""
        self._root = settings.models
        folders = _folders(settings.models)
        if not folders:
            raise CardError(f"no models in {settings.models}: publish some with gan-export, or set GAN_MODELS")
        self._devices = Devices(settings)
        self.models = [_load(folder, self._devices, settings, metrics) for folder in folders]
        self.models.sort(key=lambda model: (model.card.name, _version_order(model.card.version)))
        self._found = cache(self._find)  # which model answers a request never changes
        metrics.device_fallback.set(any(model.fell_back_to_cpu for model in self.models))

    async def stop(self) -> None:
        """Finishes what the models have accepted."""
        for model in self.models:
            await model.batcher.stop()
        self._devices.close()

    @property
    def directions(self) -> list[str]:
        """What /translate/{direction} takes."""
        return sorted({m.card.direction for m in self.models if m.card.direction})

    def is_default(self, model: Model) -> bool:
        """Whether it answers when no model is named."""
        card = model.card
        return _default(self._candidates(card.task, card.direction, card.label is not None)) is model

    def find(self, task: Task, direction: str | None, wanted: str | None, labelled: bool = False) -> Model:
        """The model `wanted` (<name> or <name>/<version>), or the default. Raises Problem 404 listing what there is.

        `labelled`: of samplers, those that write the digit asked for.
        """
        return self._found(task, direction, wanted, labelled)

    def _find(self, task: Task, direction: str | None, wanted: str | None, labelled: bool) -> Model:
        candidates = self._candidates(task, direction, labelled)
        matching = [m for m in candidates if wanted in (None, m.id, m.card.name)]
        if not matching:
            raise self._not_found(task, direction, wanted, labelled)
        return _default(matching) if wanted is None else matching[-1]

    def relative_file(self, model: Model) -> str:
        """The file that runs, relative to the models folder."""
        return (model.folder / model.artefact.file).relative_to(self._root).as_posix()

    def _not_found(self, task: Task, direction: str | None, wanted: str | None, labelled: bool) -> Problem:
        """Why `find` finds nothing, with what there is instead."""
        if direction is not None and direction not in self.directions:
            there = self.directions
            detail = f"no such direction: there is {', '.join(there)}"
            return Problem(404, "unknown-direction", detail, available=there)
        there = [m.id for m in self._candidates(task, direction, labelled)]
        others = self._candidates(task, direction, not labelled)
        if not labelled and any(wanted in (None, m.id, m.card.name) for m in others):
            detail = f"{wanted or others[-1].id} writes the digit that is asked for: add digit=0..9"
            return Problem(422, "digit-missing", detail)
        if not there and labelled:
            return Problem(404, "no-labels", "no model here writes the digit that is asked for: leave out digit")
        if not there:
            return Problem(404, "unknown-task", "no such task: there is translate", available=["translate"])
        detail = f"no model {wanted!r} answers this: there is {', '.join(there)}"
        return Problem(404, "unknown-model", detail, available=there)

    def _candidates(self, task: Task, direction: str | None, labelled: bool) -> list[Model]:
        return [
            m
            for m in self.models
            if (m.card.task, m.card.direction, m.card.label is not None) == (task, direction, labelled)
        ]


def _default(candidates: list[Model]) -> Model:
    """The newest of the first kind that is there; candidates come in order of name and version.

    A GPU has the time for the large generator, which takes fifteen times the CPU time of the compact one.
    """
    reference = [m for m in candidates if m.card.name == f"{m.card.direction}{REFERENCE}" and m.provider == CUDA]
    plain = [m for m in candidates if m.card.name in {m.card.direction, *PLAIN_SAMPLERS}]
    return (reference or plain or candidates)[-1]


def _folders(root: Path) -> list[Path]:
    """Those of all versions. Raises CardError for one that may not be looked into: it might hold a model."""
    try:
        return [version for name in _subfolders(root) for version in _subfolders(name)] if root.is_dir() else []
    except OSError as error:
        raise unreadable(error, root) from error


def _subfolders(folder: Path) -> list[Path]:
    """All but what is hidden and the lost+found of a volume of its own, which nobody may look into."""
    return sorted(p for p in folder.iterdir() if p.name[0] != "." and p.name != "lost+found" and p.is_dir())


def _load(folder: Path, devices: Devices, settings: Settings, metrics: Metrics) -> Model:
    card = read_card(folder)
    loaded = devices.load(folder, card)
    session, artefact, name = loaded.session, loaded.artefact, f"{card.name}/{card.version}"
    info = name, card.version, card.task, session.provider, artefact.precision, artefact.sha256
    metrics.model_info.labels(*info).set(1)
    metrics.expect_model(name)
    batcher = Batcher(
        name,
        session.run,
        session.take,
        loaded.slots,
        settings.queue_size,
        metrics,
        session.inline_rows,
        probe_rows(card),
    )
    return Model(card, folder, session.provider, artefact, loaded.fallback_reason, batcher)


def _version_order(version: str) -> tuple[int, str]:
    return (int(version), "") if version.isdigit() else (-1, version)
