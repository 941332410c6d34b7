"""Fits the digit classifier for mode collapse and scores once, and caches it."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from training import checkpoint, rng
from training.data.mnist import Digits
from training.images import to_signed
from training.networks.classifier import DigitClassifier

EPOCHS = 2
BATCH = 128


def fit_classifier(digits: Digits, seed: int = 0, epochs: int = EPOCHS) -> DigitClassifier:
    """A classifier fitted on `digits` with Adam, its rate falling to zero; the same for the same seed."""
    with rng.seeded(seed, "classifier weights"):
        network = DigitClassifier()
    steps = epochs * (len(digits.images) // BATCH)
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=2e-3, total_steps=max(steps, 2))
    for step in range(steps):
        rows = torch.tensor(
            [rng.shuffled_index(seed, "classifier", step * BATCH + i, len(digits.images)) for i in range(BATCH)]
        )
        loss = cross_entropy(network(to_signed(digits.images[rows])), digits.labels[rows])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval().requires_grad_(False)


@torch.no_grad()
def classify(network: DigitClassifier, digits: Tensor) -> Tensor:
    """uint8 (N, 1, 28, 28) -> labels (N,)."""
    return torch.cat([network(to_signed(part)).argmax(1) for part in digits.split(1000)])


def cached_classifier(folder: Path, digits: Digits) -> DigitClassifier:
    """The classifier cached in `folder`; fitted now if it is missing, damaged or was fitted on other digits."""
    cached = _cached(folder, digits)
    if cached is not None:
        return cached
    print(f"fitting the digit classifier, a minute; kept in {folder}", flush=True)
    network = fit_classifier(digits)
    for stale in checkpoint.list_checkpoints(folder):  # one of more digits would count as the newest
        stale.unlink()
    checkpoint.write(
        folder, {"images": EPOCHS * len(digits.images), "dataset": digits.sha256, "network": network.state_dict()}
    )
    return network


def _cached(folder: Path, digits: Digits) -> DigitClassifier | None:
    """The classifier in `folder`, or None if it is missing, damaged or another one."""
    network = DigitClassifier()
    try:
        state = checkpoint.read(folder) if checkpoint.list_checkpoints(folder) else {}
        if state.get("dataset") != digits.sha256:
            return None
        network.load_state_dict(state["network"])
    except (checkpoint.CheckpointError, KeyError, RuntimeError) as error:
        print(f"the digit classifier in {folder} cannot be used ({error})", flush=True)
        return None
    return network.eval().requires_grad_(False)
