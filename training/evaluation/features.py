"""Features of pictures, kept on disk for those that are compared with again and again."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor


def kept_features(cache: Path, network: Path, images: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
    """`compute(images)` (n, d), read from `cache` when these very pictures were seen before by this very network.

    images: uint8 (n, c, h, w). `network`: the file of its weights.
    """
    digest = hashlib.sha256(network.read_bytes() + images.numpy().tobytes()).hexdigest()[:16]
    path = cache / f"features-{digest}.pt"
    if path.is_file():
        kept: Tensor = torch.load(path, weights_only=True)
        return kept
    features = compute(images)
    cache.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(features, partial)
    partial.replace(path)
    return features
