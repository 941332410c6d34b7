"""Which device a model runs on: the choice, and what is said when it is not what was asked for."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from service import cuda
from service.card import MODEL_FILE, CardError, ModelCard
from service.cores import usable_cores
from service.cpu_session import CpuSession
from service.cuda_session import CudaSession
from service.settings import Settings
from service.slots import Slot, Slots

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
    """A session, and the slots in which it runs."""

    session: Session
    slots: Slots
    fallback_reason: str | None = None
    """With device=auto: why the model runs on the CPU."""


class Devices:
    """Owns the slots of the CPU and of the GPUs, which all models share."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cpu = Slots(settings.threads or usable_cores())
        self._missing = None if settings.device == "cpu" else _missing_part()
        self._cuda = Slots(0 if settings.device == "cpu" or self._missing else STREAMS * cuda.device_count())

    def load(self, folder: Path, card: ModelCard) -> Loaded:
        """The model on the device that the settings ask for.

        Raises DeviceError when that is 'cuda' and fails, CardError when the model does not run at all.
        """
        settings, reason = self._settings, None
        if settings.device != "cpu":
            try:
                if self._missing:
                    raise DeviceError(self._missing)
                return Loaded(CudaSession(folder, card, self._cuda, settings), self._cuda)
            except Exception as error:  # ONNX Runtime raises many kinds; each means the GPU does not work here
                reason = _first_line(error)
                if settings.device == "cuda":
                    raise DeviceError(f"device=cuda, but {card.name} cannot run on CUDA: {reason}") from error
        threads, digits, pictures = len(self._cpu.all), max(settings.batch_sizes), settings.batch_pictures or 1
        try:
            return Loaded(CpuSession(folder, card, threads, digits, pictures), self._cpu, reason)
        except Exception as error:  # likewise: a file that is no model, or not the card's
            raise CardError(f"{folder / MODEL_FILE} does not run as its card says: {_first_line(error)}") from error

    def close(self) -> None:
        """Ends the threads, once what they run is done."""
        self._cpu.close()
        self._cuda.close()


@cache
def _missing_part() -> str | None:
    return cuda.missing_part()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
