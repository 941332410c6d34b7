"""One ONNX Runtime session and every decision about it: provider, options, threads."""

import os
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service import cuda
from service.card import MODEL_FILE, CardError, ModelCard

Device = Literal["auto", "cuda", "cpu"]
CPU = "CPUExecutionProvider"
CUDA_OPTIONS = {"cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested"}


class DeviceError(Exception):
    """A device that was asked for and does not work; the message says why."""


class Session:
    """A model loaded on the device that truly runs it."""

    def __init__(self, folder: Path, card: ModelCard, device: Device, threads: int) -> None:
        """`threads`: CPU threads of one run, 0 for one a core.

        Raises DeviceError when `device` is 'cuda' and fails, CardError when the model does not run at all.
        """
        self._input, self._label = card.input.name, card.label.name if card.label else None
        self.fallback_reason: str | None = None
        """With device=auto: why the model runs on the CPU."""
        path, probe = folder / MODEL_FILE, _probe_input(card)
        if device != "cpu":
            try:
                self._session = _open_cuda(path)
                self._session.run(None, self._feed(probe))  # cuDNN loads at the first convolution
                self.provider = cuda.PROVIDER
                return
            except Exception as error:  # ONNX Runtime raises many kinds; each means the GPU does not work here
                reason = str(error).partition("\n")[0] or type(error).__name__
                if device == "cuda":
                    raise DeviceError(f"device=cuda, but {card.name} cannot run on CUDA: {reason}") from error
                self.fallback_reason = reason
        try:
            self._session = _open_cpu(path, threads)
            self._session.run(None, self._feed(probe))
        except Exception as error:  # likewise: a file that is no model, or not the card's
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise CardError(f"{path} does not run as its card says: {reason}") from error
        self.provider = CPU

    def run(self, batch: NDArray[Any]) -> NDArray[np.uint8]:
        """One batch through the model; releases the GIL while it computes.

        A sampler with labels takes them as the last column of z: rows of one array are what batches are made of.
        """
        (answer,) = self._session.run(None, self._feed(batch))
        return answer

    def _feed(self, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        if self._label is None:
            return {self._input: batch}
        return {self._input: batch[:, :-1], self._label: batch[:, -1].astype(np.int64)}


@cache
def _cuda_missing_part() -> str | None:
    return cuda.missing_part()


def _open_cuda(path: Path) -> ort.InferenceSession:
    missing = _cuda_missing_part()
    if missing:
        raise DeviceError(missing)
    options = ort.SessionOptions()
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    session = ort.InferenceSession(str(path), options, providers=[(cuda.PROVIDER, CUDA_OPTIONS)])
    session.disable_fallback()  # otherwise run() would move to the CPU after a CUDA error without a word
    if session.get_providers()[0] != cuda.PROVIDER:
        raise DeviceError("ONNX Runtime did not register its CUDA provider")
    return session


def _open_cpu(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or os.cpu_count() or 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # codecs and the loop share the cores
    return ort.InferenceSession(str(path), options, providers=[CPU])


def _probe_input(card: ModelCard) -> NDArray[Any]:
    if card.latent is not None:
        return np.zeros((1, card.latent + (card.label is not None)), dtype=np.float32)
    return np.zeros((1, 64, 64, 3), dtype=np.uint8)
