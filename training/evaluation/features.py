"""Features of pictures, kept on disk for those that are compared with again and again."""

import hashlib
import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

PREPARATION = b"1"
"""To be changed with the way in which pictures are prepared for a network: kept features are of no use then."""


def kept_features(cache: Path, network: Path, images: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
    """`compute(images)` (n, d), read from `cache` when these very pictures were seen before by this very network.

    images: uint8 (n, c, h, w). `network`: the file of its weights.
    """
    digest = hashlib.sha256(PREPARATION + network.read_bytes() + images.numpy().tobytes()).hexdigest()[:16]
    path = cache / f"features-{digest}.pt"
    if path.is_file():
        with suppress(OSError, RuntimeError, EOFError, pickle.UnpicklingError):  # a damaged file is as good as none
            kept: Tensor = torch.load(path, weights_only=True)
            return kept
    features = compute(images)
    cache.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(features, partial)
    partial.replace(path)
    return features
