"""Features, labels and class activation maps of images, computed for scores by pretrained networks."""

import hashlib
import pickle
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import onnxruntime as ort
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from tqdm import tqdm

from training.data.errors import DataError
from training.images import to_signed
from training.networks.pretrained import INCEPTION_FILE, load_mobilenet, weight_file

SORREL, ZEBRA = 339, 340
"""ImageNet's classes of brown horses and of zebras; other horses have none."""
PARITY = 1e-4
"""Largest difference of a feature between ONNX Runtime and the original Inception network."""
INCEPTION_SIDE, LABEL_SIDE, MAP_SIDE = 299, 224, 448
"""Pixels. The last gives class activation maps of 14 x 14 cells, the usual 224 would give 7 x 7."""
PREPARATION = b"1"
"""Version of the preparation of images for Inception; a new one invalidates cached features."""


def cached_features(cache: Path, network: Path, images: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
    """`compute(images)` (n, d), read from `cache` if it was computed before for these images and this network.

    images: uint8 (n, c, h, w). `network`: the file of its weights.
    """
    digest = hashlib.sha256(PREPARATION + network.read_bytes() + images.numpy().tobytes()).hexdigest()[:16]
    path = cache / f"features-{digest}.pt"
    if path.is_file():
        with suppress(OSError, RuntimeError, EOFError, pickle.UnpicklingError):  # a damaged file is computed again
            cached: Tensor = torch.load(path, weights_only=True)
            return cached
    features = compute(images)
    cache.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(features, partial)
    partial.replace(path)
    return features


@torch.no_grad()
def inception_features(images: Tensor, weights: Path, cache: Path) -> Tensor:
    """uint8 (N, C, H, W), C 1 or 3 -> pool features (N, 2048) of the FID Inception network.

    Images are resized to 299x299 bilinearly, without antialiasing, as the network's authors did. `cache`: folder for
    the network's ONNX form. Raises DataError if `weights`/fid_inception.torchscript.pt is missing.
    """
    network = load_inception(weight_file(weights, INCEPTION_FILE), cache)
    parts = []
    for part in tqdm(images.split(8), desc="Inception", unit="batch", disable=None):
        pixels = interpolate(to_signed(part.expand(-1, 3, -1, -1)), size=(INCEPTION_SIDE,) * 2, mode="bilinear")
        parts.append(network(pixels))
    return torch.cat(parts)


@torch.no_grad()
def load_inception(file: Path, cache: Path) -> Callable[[Tensor], Tensor]:
    """The network of a TorchScript file: (N, 3, 299, 299) in [-1, 1] -> (N, 2048).

    ONNX Runtime runs it, which is faster on a CPU, from a file that is exported once into `cache`. If that fails, or
    the features of random images differ, PyTorch runs it, and a line says why. Raises DataError for a damaged file.
    """
    try:
        original = torch.jit.load(str(file), map_location="cpu").eval()
    except RuntimeError as error:
        raise DataError(f"{file} is no TorchScript file: download it again, as docs/fitting/scores.md says") from error
    path = cache / f"inception-{hashlib.sha256(file.read_bytes()).hexdigest()[:16]}.onnx"
    probe = torch.rand(2, 3, INCEPTION_SIDE, INCEPTION_SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    try:
        if not path.is_file():
            _export(original, probe, path)
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        difference = float((_run(session, probe) - original(probe)).abs().max())
        if difference <= PARITY:
            return lambda pixels: _run(session, pixels)
        reason = f"the features of {path} differ by {difference:.1e}"
    except Exception as error:  # exporter and session raise many kinds
        reason = f"{path} cannot be made or read ({type(error).__name__})"
    print(f"Inception runs in PyTorch, which is slower: {reason}", flush=True)
    return original


def _export(network: nn.Module, example: Tensor, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    axes = {"pixels": {0: "N"}, "features": {0: "N"}}
    with warnings.catch_warnings():  # only the deprecated exporter takes TorchScript
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            partial,
            dynamo=False,
            opset_version=17,
            input_names=["pixels"],
            output_names=["features"],
            dynamic_axes=axes,
        )
    partial.replace(path)


def _run(session: ort.InferenceSession, pixels: Tensor) -> Tensor:
    return torch.from_numpy(session.run(None, {"pixels": pixels.numpy()})[0])


@torch.no_grad()
def imagenet_labels(images: Tensor, weights: Path) -> Tensor:
    """uint8 (N, 3, H, W) -> ImageNet class (N,) by MobileNetV2 at 224 px. Raises DataError if its file is missing."""
    network = load_mobilenet(weights)
    return torch.cat([network(imagenet_inputs(part, LABEL_SIDE)).argmax(1) for part in images.split(32)])


@torch.no_grad()
def equine_maps(images: Tensor, weights: Path) -> Tensor:
    """uint8 (N, 3, H, W) -> MobileNetV2's evidence for sorrel or zebra at each pixel, (N, 1, H, W) in [0, 1].

    The class activation map (Zhou et al. 2016) of the stronger class at each place, without its negative part, divided
    by its largest value: 1 at the strongest evidence, 0 where there is none for either class. It has 14 x 14 cells, so
    it is no outline. Raises DataError if the network's file is missing.
    """
    network = load_mobilenet(weights)
    last = network.classifier[1]
    weight, bias = last.weight[[SORREL, ZEBRA]], last.bias[[SORREL, ZEBRA]]
    maps = []
    for part in images.split(8):
        cells = network.features(imagenet_inputs(part, MAP_SIDE))
        evidence = (torch.einsum("nchw,kc->nkhw", cells, weight) + bias[:, None, None]).amax(1, keepdim=True).relu()
        shares = evidence / evidence.amax((2, 3), keepdim=True).clamp(min=1e-6)
        maps.append(interpolate(shares, size=part.shape[-2:], mode="bilinear"))
    return torch.cat(maps)


def imagenet_inputs(images: Tensor, side: int) -> Tensor:
    """uint8 (N, 3, H, W) -> (N, 3, side, side), resized and normalised as torchvision's ImageNet networks expect."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = interpolate(images.float() / 255, size=(side, side), mode="bilinear", antialias=True)
    return (pixels - mean[:, None, None]) / std[:, None, None]
