"""Chooses the device that a model runs on, and says why it is not the one that was asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from service.card import MODEL_FILE, Artefact, CardError, ModelCard
from service.runtime import cuda_driver
from service.runtime.cpu import CpuSession, usable_cores
from service.runtime.cuda import CudaSession
from service.runtime.slots import Slot, Slots
from service.settings import Settings

SLOTS_PER_GPU = 2
"""Batches in flight on each GPU: one is copied while the other runs."""


class DeviceError(Exception):
    """The device that the settings ask for does not work; the message says why."""


class Session(Protocol):
    """A model loaded on a device."""

    provider: str
    """ONNX Runtime's name of the execution provider."""
    inline_items: int
    """Largest batch that takes less time than handing it to a thread and back; it runs on the event loop."""

    def batch_size(self, shape: tuple[int, ...], queued: int) -> int:
        """Returns how many of `queued` items of `shape` run together, at least 1."""
        ...

    def run(self, slot: Slot, inputs: NDArray[Any], alone: bool) -> NDArray[np.uint8]:
        """Returns the outputs of `inputs` (n, ...). `alone`: no other batch runs, and none is queued."""
        ...


@dataclass(frozen=True)
class Loaded:
    """A session, the slots that it runs in, and the file that it runs."""

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
        self._missing = None if settings.device == "cpu" else cuda_driver.missing_part()
        no_cuda = settings.device == "cpu" or self._missing
        self._cuda = Slots(0 if no_cuda else SLOTS_PER_GPU * cuda_driver.device_count())

    def load(self, folder: Path, card: ModelCard) -> Loaded:
        """Loads a model on the device that the settings ask for.

        Raises DeviceError when that is 'cuda' and fails, CardError when the model does not run at all.
        """
        settings, reason = self._settings, None
        if settings.device != "cpu":
            loaded, reason = self._load_on_cuda(folder, card)
            if loaded:
                return loaded
            if settings.device == "cuda":
                raise DeviceError(f"device=cuda, but {card.name} cannot run on CUDA: {reason}")
        threads, max_items, images = len(self._cpu.all), max(settings.batch_sizes), settings.batch_pictures or 1
        try:
            session = CpuSession(folder, card, threads, max_items, images)
            return Loaded(session, self._cpu, card.full_artefact, reason)
        except Exception as error:  # ONNX Runtime raises many kinds: the file is no model, or not the card's
            raise CardError(f"{folder / MODEL_FILE} does not run as its card says: {first_line(error)}") from error

    def _load_on_cuda(self, folder: Path, card: ModelCard) -> tuple[Loaded | None, str | None]:
        """Loads a model on CUDA, in half precision if possible. Returns None and the reason when it does not run."""
        if self._missing:
            return None, self._missing
        reasons: list[str] = []
        for artefact in cuda_artefacts(card, self._settings):
            try:
                session = CudaSession(folder / artefact.file, card, self._cuda, self._settings)
                return Loaded(session, self._cuda, artefact, "; ".join(reasons) or None), None
            except Exception as error:  # ONNX Runtime raises many kinds: the GPU does not run this file
                reasons.append(f"{artefact.file}: {first_line(error)}")
        return None, "; ".join(reasons)

    def close(self) -> None:
        """Ends the slots' threads after their running batches."""
        self._cpu.close()
        self._cuda.close()


def cuda_artefacts(card: ModelCard, settings: Settings) -> list[Artefact]:
    """Returns the files that a GPU may run, the preferred one first."""
    half = card.half_artefact if settings.cuda_fp16 else None
    return [half, card.full_artefact] if half else [card.full_artefact]


def first_line(error: Exception) -> str:
    """Returns the first line of an error's text, or the name of its class."""
    return str(error).partition("\n")[0] or type(error).__name__
