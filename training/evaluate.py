"""Scores the exported file itself, as it is served."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from pydantic import BaseModel, ConfigDict, PositiveInt
from pydantic_settings import CliPositionalArg
from tqdm import tqdm

from training.data.errors import DataError
from training.data.mnist import load_mnist
from training.data.pixels import to_signed
from training.data.unpaired import load_domain
from training.digit_classifier import cached_classifier, classify
from training.feature_networks import ZEBRA, imagenet_labels, inception_features
from training.metrics.frechet import frechet_distance
from training.metrics.kernel import bootstrap_interval, kernel_distance
from training.metrics.modes import count_modes, histogram, kl_divergence

Scores = list[dict[str, Any]]


class EvaluateConfig(BaseModel):
    """Score a published model on the test set and write the scores as JSON, for 'gan-export scores'."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")

    model: CliPositionalArg[Path]
    """The .onnx file, such as models/mnist/1/model.onnx."""
    out: Path
    """JSON file to write."""
    data: Path = Path("data")
    """Folder that holds the data sets."""
    weights: Path | None = None
    """Folder with the Inception and MobileNetV2 weights; without it digits are scored by our own classifier alone."""
    cache: Path = Path("runs/digit-classifier")
    """Folder that keeps the digit classifier."""
    samples: PositiveInt = 10_000
    """Digits to draw."""


def evaluate(config: EvaluateConfig) -> Scores:
    """Scores the file, writes and returns the scores. Raises DataError with what is missing."""
    if not config.model.is_file():
        raise DataError(f"{config.model} does not exist: give the .onnx file of a published model")
    meta = {p.key: p.value for p in onnx.load(str(config.model), load_external_data=False).metadata_props}
    session = ort.InferenceSession(str(config.model), providers=["CPUExecutionProvider"])
    if meta.get("task") == "sample":
        scores = _score_digits(session, config)
    elif meta.get("task") == "translate":
        scores = _score_translation(session, meta["direction"], config)
    else:
        raise DataError(f"{config.model} carries no task in its metadata: it was not published by gan-export")
    config.out.write_text(json.dumps(scores, indent=2) + "\n")
    for score in scores:
        interval = f" [{score['low']:.3f}, {score['high']:.3f}]" if "low" in score else ""
        print(f"{score['metric']}: {score['value']:.4f}{interval}  ({score['protocol']})")
    return scores


def _score_digits(session: ort.InferenceSession, config: EvaluateConfig) -> Scores:
    train, test = load_mnist(config.data), load_mnist(config.data, train=False)
    classifier = cached_classifier(config.cache, train)
    z = torch.randn(config.samples, session.get_inputs()[0].shape[1], generator=torch.Generator().manual_seed(0))
    digits = torch.from_numpy(_run(session, z.numpy())).unsqueeze(1)
    labels = classify(classifier, digits)
    with torch.no_grad():
        ours, real, floor = (
            torch.cat([classifier.features(to_signed(part)) for part in images.split(1000)])
            for images in (digits, test.images, train.images[:10_000])
        )
        confidence, real_confidence = (
            float(classifier.classify(features).softmax(1).amax(1).mean()) for features in (ours, real)
        )
    against = f"{len(digits):,} samples against the {len(test.images):,} test digits"
    shares = histogram(labels)
    scores = [
        _score("FD (digit classifier)", frechet_distance(ours, real), against),
        _score("FD (digit classifier), real floor", frechet_distance(floor, real), "10,000 training digits instead"),
        _score("digits above 1%", count_modes(shares), f"{len(digits):,} samples, labelled by the digit classifier"),
        _score("KL from training histogram", kl_divergence(shares, histogram(train.labels)), "the same samples"),
        _score("mean classifier confidence", confidence, "the same samples"),
        _score("mean classifier confidence, real", real_confidence, f"the {len(test.images):,} test digits"),
    ]
    if config.weights is not None:
        ours, real = (inception_features(images, config.weights) for images in (digits, test.images))
        scores.append(_score("FID (Inception)", frechet_distance(ours, real), against))
    return scores


def _score_translation(session: ort.InferenceSession, direction: str, config: EvaluateConfig) -> Scores:
    if config.weights is None:
        raise DataError("scoring translations needs --weights with the feature networks: docs/scores.md says which")
    horse_first = direction.startswith("horse")
    source, target = ("testA", "testB") if horse_first else ("testB", "testA")
    root = config.data / "horse2zebra"
    sources, targets = load_domain(root, source, 256).images, load_domain(root, target, 256).images
    made = torch.from_numpy(_run(session, sources.permute(0, 2, 3, 1).numpy(), batch=4)).permute(0, 3, 1, 2)
    ours, real, untouched = (inception_features(images, config.weights) for images in (made, targets, sources))
    against = f"{len(made)} translated against {len(targets)} test pictures of the target, 256 px"
    low, high = bootstrap_interval(ours, real)
    zebras = (imagenet_labels(made, config.weights) == ZEBRA).double().mean()
    return [
        _score("KID x 100 (Inception)", 100 * kernel_distance(ours, real), against, (100 * low, 100 * high)),
        _score("KID x 100 (Inception), untranslated", 100 * kernel_distance(untouched, real), "the sources themselves"),
        _score("FID (Inception)", frechet_distance(ours, real), against),
        _score("FID (Inception), untranslated", frechet_distance(untouched, real), "the sources themselves"),
        _score("labelled zebra", float(zebras), f"{len(made)} translations, MobileNetV2 at 224 px"),
        _score("mean change", float((made.float() - sources.float()).abs().mean()), "grey levels of 255 a pixel"),
    ]


def _score(metric: str, value: float, protocol: str, interval: tuple[float, float] | None = None) -> dict[str, Any]:
    ends = {} if interval is None else {"low": interval[0], "high": interval[1]}
    return {"metric": metric, "value": float(value), **ends, "protocol": protocol}


def _run(session: ort.InferenceSession, inputs: np.ndarray[Any, Any], batch: int = 100) -> np.ndarray[Any, Any]:
    name = session.get_inputs()[0].name
    parts = [np.ascontiguousarray(inputs[i : i + batch]) for i in range(0, len(inputs), batch)]
    return np.concatenate([session.run(None, {name: p})[0] for p in tqdm(parts, desc="generating", disable=None)])
