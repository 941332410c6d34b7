"""The generator to be scored, from a published .onnx file or a checkpoint."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor
from tqdm import tqdm

from training import checkpoint
from training.data.errors import DataError
from training.generators import FinishedGenerator, finished_generators
from training.images import to_signed, to_uint8

Batch = tuple[Tensor, ...]


@dataclass(frozen=True)
class Candidate:
    """A generator to be scored; its inputs are z of length `latent` for digits, uint8 images for a translation."""

    name: str
    """Name of the model, such as mnist."""
    direction: str | None
    """Direction of a translation, such as horse2zebra; None for digits."""
    latent: int | None
    """Length of z of a digit generator; None for a translation."""
    conditional: bool
    """Whether labels int64 (n,) are its second input."""
    run: Callable[..., Tensor]
    """One batch: z float32 (n, latent) -> digits uint8 (n, 1, 28, 28), or images uint8 (n, 3, h, w) -> the same."""
    graph_sha256: str | None
    """Hash of a published file's graph and weights, which does not depend on the scores in its metadata."""
    learnt: bool = True
    """Whether its checkpoint's run fitted it; if not, it was fixed and closed the cycle."""

    @property
    def called(self) -> str:
        """Its name in the scores of another model; a file is identified by its graph's hash."""
        return f"{self.name} of a checkpoint" if self.graph_sha256 is None else f"{self.name} {self.graph_sha256[:12]}"

    def generate(self, *inputs: Tensor, batch: int) -> Tensor:
        """Runs the inputs in batches, with a progress bar on a terminal."""
        parts = list(zip(*(i.split(batch) for i in inputs), strict=True))
        return torch.cat([self.run(*part) for part in tqdm(parts, desc="generating", disable=None)])


def open_candidates(path: Path) -> Iterator[Candidate]:
    """The generators in a published .onnx file (one), or in a checkpoint or run folder (both directions of a pair).

    Raises DataError or CheckpointError with the reason.
    """
    if path.suffix == ".onnx":
        yield _from_onnx(path)
        return
    for finished in finished_generators(checkpoint.read(path)):
        yield from_network(finished)


def graph_sha256(model: onnx.ModelProto) -> str:
    """Hash of a model's graph and weights alone."""
    return hashlib.sha256(model.graph.SerializeToString(deterministic=True)).hexdigest()


def _from_onnx(path: Path) -> Candidate:
    try:
        model = onnx.load(str(path), load_external_data=False)
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # both raise many kinds for a file that is none
        raise DataError(f"{path} is not a readable ONNX file ({type(error).__name__})") from error
    meta = {p.key: p.value for p in model.metadata_props}
    if meta.get("task") not in {"sample", "translate"}:
        raise DataError(f"{path} carries no task in its metadata: it was not published by gan-export")
    names = [i.name for i in session.get_inputs()]

    def run(*batch: Tensor) -> Tensor:
        arrays = [b.permute(0, 2, 3, 1) if b.ndim == 4 else b for b in batch]
        feed = {name: np.ascontiguousarray(a.numpy()) for name, a in zip(names, arrays, strict=True)}
        made = torch.from_numpy(session.run(None, feed)[0])
        return made.unsqueeze(1) if made.ndim == 3 else made.permute(0, 3, 1, 2).contiguous()

    latent = None if meta["task"] == "translate" else session.get_inputs()[0].shape[1]
    return Candidate(meta["name"], meta.get("direction"), latent, len(names) == 2, run, graph_sha256(model))


def from_network(finished: FinishedGenerator) -> Candidate:
    """The candidate of a network in memory."""

    @torch.no_grad()
    def run(first: Tensor, *rest: Tensor) -> Tensor:
        return to_uint8(finished.network(first if finished.latent else to_signed(first), *rest))

    return Candidate(
        name=finished.name,
        direction=finished.direction,
        latent=finished.latent,
        conditional=finished.conditional,
        run=run,
        graph_sha256=None,
        learnt=finished.learnt,
    )
