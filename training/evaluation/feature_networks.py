"""Networks that look at images, for scores and for projected discriminators, loaded from files; none is fetched."""

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
from torchvision.models import MobileNetV2
from tqdm import tqdm

from training.data.errors import DataError
from training.images import to_signed
from training.networks.efficientnet_lite import EfficientNetLite0

INCEPTION_FILE = "fid_inception.torchscript.pt"
MOBILENET_FILE = "mobilenet_v2-b0353104.pth"
EFFICIENTNET_FILE = "efficientnet-lite0-57934424.pth"
SHA256 = {
    INCEPTION_FILE: "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
    MOBILENET_FILE: "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
    EFFICIENTNET_FILE: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
}
"""Of the files whose scores are to be compared with those of others."""
SORREL, ZEBRA = 339, 340
"""ImageNet's classes of brown horses and of zebras; other horses have none."""
PARITY = 1e-4
"""Largest difference of a feature by which ONNX Runtime's Inception may stand for the original."""
INCEPTION_SIDE, LABEL_SIDE, MAP_SIDE = 299, 224, 448
"""Pixels. The last gives class activation maps of 14 x 14 cells, where the usual 224 gives 7 x 7."""


def check_weights(weights: Path, *names: str) -> None:
    """That the files are there, before anything that takes time. Raises DataError for one that is not.

    Of a file that is not the one everybody's scores are made with, a line says so.
    """
    for name in names:
        if hashlib.sha256(_existing(weights / name).read_bytes()).hexdigest() != SHA256[name]:
            print(f"{weights / name} is not the file that docs/scores.md names: its scores compare with no others")


def load_efficientnet(weights: Path) -> EfficientNetLite0:
    """The feature network of projected discriminators. Raises DataError when its file is missing or another one."""
    file = _existing(weights / EFFICIENTNET_FILE)
    if hashlib.sha256(file.read_bytes()).hexdigest() != SHA256[EFFICIENTNET_FILE]:
        raise DataError(f"{file} is damaged or another file: fetch it again, as docs/scores.md says")
    network = EfficientNetLite0()
    network.load(torch.load(file, weights_only=True))
    return network


@torch.no_grad()
def inception_features(images: Tensor, weights: Path, cache: Path) -> Tensor:
    """uint8 (N, C, H, W), C 1 or 3 -> pool features (N, 2048) of the FID Inception network.

    Pictures go to 299x299 bilinearly, without antialiasing, as the network's authors did. `cache` keeps the network
    as ONNX Runtime takes it. Raises DataError when `weights`/fid_inception.torchscript.pt is missing.
    """
    network = load_inception(_existing(weights / INCEPTION_FILE), cache)
    parts = []
    for part in tqdm(images.split(8), desc="Inception", unit="batch", disable=None):
        pixels = interpolate(to_signed(part.expand(-1, 3, -1, -1)), size=(INCEPTION_SIDE,) * 2, mode="bilinear")
        parts.append(network(pixels))
    return torch.cat(parts)


@torch.no_grad()
def load_inception(file: Path, cache: Path) -> Callable[[Tensor], Tensor]:
    """The network of a TorchScript file: (N, 3, 299, 299) in [-1, 1] -> (N, 2048).

    ONNX Runtime runs it, which is faster on a CPU, from a file that is exported once into `cache`. Where that fails
    or its features of random pictures differ, PyTorch does, and a line says why. Raises DataError for a damaged file.
    """
    try:
        original = torch.jit.load(str(file), map_location="cpu").eval()
    except RuntimeError as error:
        raise DataError(f"{file} is no TorchScript file: fetch it again, as docs/scores.md says") from error
    path = cache / f"inception-{hashlib.sha256(file.read_bytes()).hexdigest()[:16]}.onnx"
    probe = torch.rand(2, 3, INCEPTION_SIDE, INCEPTION_SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    try:
        if not path.is_file():
            _export(original, probe, path)
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        difference = float((_answer(session, probe) - original(probe)).abs().max())
        if difference <= PARITY:
            return lambda pixels: _answer(session, pixels)
        reason = f"the features of {path} differ by {difference:.1e}"
    except Exception as error:  # exporter and session raise many kinds
        reason = f"{path} cannot be made or read ({type(error).__name__})"
    print(f"Inception runs in PyTorch, which is slower: {reason}", flush=True)
    return original


def _export(network: nn.Module, example: Tensor, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    axes = {"pixels": {0: "N"}, "features": {0: "N"}}
    with warnings.catch_warnings():  # the exporter for TorchScript is deprecated; the new one takes none
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


def _answer(session: ort.InferenceSession, pixels: Tensor) -> Tensor:
    return torch.from_numpy(session.run(None, {"pixels": pixels.numpy()})[0])


@torch.no_grad()
def imagenet_labels(images: Tensor, weights: Path) -> Tensor:
    """uint8 (N, 3, H, W) -> ImageNet class (N,) by MobileNetV2 at 224 px. Raises DataError when its file is missing."""
    network = _mobilenet(weights)
    return torch.cat([network(_prepared(part, LABEL_SIDE)).argmax(1) for part in images.split(32)])


@torch.no_grad()
def equine_maps(images: Tensor, weights: Path) -> Tensor:
    """uint8 (N, 3, H, W) -> where MobileNetV2 sees what makes a sorrel or a zebra, (N, 1, H, W) in [0, 1].

    The class activation map (Zhou et al. 2016) of whichever class is stronger at a place, without its negative part,
    over its largest value: 1 on the animal's most telling part, less on its others, 0 where nothing speaks for either
    class. From 14 x 14 cells, so that it is no outline. Raises DataError when the network's file is missing.
    """
    network = _mobilenet(weights)
    last = network.classifier[1]
    weight, bias = last.weight[[SORREL, ZEBRA]], last.bias[[SORREL, ZEBRA]]
    maps = []
    for part in images.split(8):
        cells = network.features(_prepared(part, MAP_SIDE))
        evidence = (torch.einsum("nchw,kc->nkhw", cells, weight) + bias[:, None, None]).amax(1, keepdim=True).relu()
        shares = evidence / evidence.amax((2, 3), keepdim=True).clamp(min=1e-6)
        maps.append(interpolate(shares, size=part.shape[-2:], mode="bilinear"))
    return torch.cat(maps)


def _mobilenet(weights: Path) -> MobileNetV2:
    network, file = MobileNetV2(), _existing(weights / MOBILENET_FILE)
    try:
        network.load_state_dict(torch.load(file, weights_only=True))
    except (RuntimeError, TypeError, ValueError, LookupError, EOFError, pickle.UnpicklingError) as error:
        raise DataError(f"{file} is not MobileNetV2's: fetch it again, as docs/scores.md says") from error
    return network.eval()


def _prepared(images: Tensor, side: int) -> Tensor:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = interpolate(images.float() / 255, size=(side, side), mode="bilinear", antialias=True)
    return (pixels - mean[:, None, None]) / std[:, None, None]


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"{path} is not there: docs/scores.md says where the feature networks come from")
    return path


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
