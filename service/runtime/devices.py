"""Which device a model runs on: the choice, and what is said when it is not what was asked for."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from service.card import MODEL_FILE, Artefact, CardError, ModelCard
from service.runtime import cuda_driver
from service.runtime.cores import usable_cores
from service.runtime.cpu import CpuSession
from service.runtime.cuda import CudaSession
from service.runtime.slots import Slot, Slots
from service.settings import Settings

STREAMS = 2
"""Batches in flight on each GPU: one is copied while the other runs."""


class DeviceError(Exception):
    """A device that was asked for and does not work; the message says why."""


class Session(Protocol):
    """A model loaded on the device that truly runs it."""

    provider: str
    """ONNX Runtime's name of what runs it."""
    inline_rows: int
    """Batches of so few rows take less time than the way to a thread and back."""

    def take(self, shape: tuple[int, ...], waiting: int) -> int:
        """How many of `waiting` items of `shape` run together."""
        ...

    def run(self, slot: Slot, rows: NDArray[Any], alone: bool) -> NDArray[np.uint8]:
        """Answers of `rows`, in a slot's thread; `alone`: no other batch runs or waits."""
        ...


@dataclass(frozen=True)
class Loaded:
    """A session, the slots in which it runs, and the file that it runs."""

    session: Session
    slots: Slots
    artefact: Artefact
    fallback_reason: str | None = None
    """Why the model runs on the CPU with device=auto, or on CUDA in fp32 though it has a half-precision file."""


class Devices:
    """Owns the slots of the CPU and of the GPUs, which all models share."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cpu = Slots(settings.threads or usable_cores())
        self._missing = None if settings.device == "cpu" else _missing_part()
        self._cuda = Slots(0 if settings.device == "cpu" or self._missing else STREAMS * cuda_driver.device_count())

    def load(self, folder: Path, card: ModelCard) -> Loaded:
        """The model on the device that the settings ask for.

        Raises DeviceError when that is 'cuda' and fails, CardError when the model does not run at all.
        """
        settings, reason = self._settings, None
        if settings.device != "cpu":
            loaded, reason = self._load_on_cuda(folder, card)
            if loaded:
                return loaded
            if settings.device == "cuda":
                raise DeviceError(f"device=cuda, but {card.name} cannot run on CUDA: {reason}")
        threads, digits, pictures = len(self._cpu.all), max(settings.batch_sizes), settings.batch_pictures or 1
        try:
            session = CpuSession(folder, card, threads, digits, pictures)
            return Loaded(session, self._cpu, card.full_artefact, reason)
        except Exception as error:  # likewise: a file that is no model, or not the card's
            raise CardError(f"{folder / MODEL_FILE} does not run as its card says: {_first_line(error)}") from error

    def _load_on_cuda(self, folder: Path, card: ModelCard) -> tuple[Loaded | None, str | None]:
        """The model on CUDA, in half precision if it can be; None with the reason where it does not run there."""
        if self._missing:
            return None, self._missing
        reasons: list[str] = []
        for artefact in cuda_artefacts(card, self._settings):
            try:
                session = CudaSession(folder / artefact.file, card, self._cuda, self._settings)
                return Loaded(session, self._cuda, artefact, "; ".join(reasons) or None), None
            except Exception as error:  # ONNX Runtime raises many kinds; each means that the GPU does not run the file
                reasons.append(f"{artefact.file}: {_first_line(error)}")
        return None, "; ".join(reasons)

    def close(self) -> None:
        """Ends the threads, once what they run is done."""
        self._cpu.close()
        self._cuda.close()


def cuda_artefacts(card: ModelCard, settings: Settings) -> list[Artefact]:
    """The files that a GPU may run, the one to prefer first."""
    half = card.half_artefact if settings.cuda_fp16 else None
    return [half, card.full_artefact] if half else [card.full_artefact]


@cache
def _missing_part() -> str | None:
    return cuda_driver.missing_part()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
