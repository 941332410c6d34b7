"""Compares half precision and int8 with fp32 on this CPU: python -m benchmarks.serving.quantisation [--data data]

Prints the time of a translation (batch 1, 256x256, one thread) relative to fp32, and how far its outputs for test
images are from those of fp32: in half precision, and with ONNX Runtime's int8 layers, also with the ends of the
generator folded. Static quantisation is calibrated on training images, with a scale for each output channel. Times are
CPU times of the thread, so that other work on the machine matters less; the contenders take turns.
"""

import argparse
import logging
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from PIL import Image

from benchmarks.serving.folded import FoldedEnds
from export.graphs import TranslationGraph
from export.half import to_half
from export.onnx_file import to_onnx
from service.card import MODEL_FILE, ModelCard, read_card
from service.settings import BUNDLED_MODELS
from training import onnx_weights
from training.networks.cyclegan import generator_of

SIDE = 256
CALIBRATION_IMAGES, TEST_IMAGES, RUNS = 64, 20, 15
Pixels = NDArray[np.uint8]


class Calibration(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime has no types
    """Feeds calibration images to ONNX Runtime, one at a time."""

    def __init__(self, name: str, images: list[Pixels]) -> None:
        self._feeds: Iterator[dict[str, Pixels]] = iter({name: image} for image in images)

    def get_next(self) -> dict[str, Pixels] | None:
        """The next input; None after the last."""
        return next(self._feeds, None)


def read_images(folder: Path, count: int) -> list[Pixels]:
    """uint8 (1, SIDE, SIDE, 3) each, evenly spread over the folder."""
    files = sorted(folder.glob("*.jpg"))
    if len(files) < count:
        raise SystemExit(f"{folder} has {len(files)} images, {count} are needed: gan-train download fetches them")
    chosen = files[:: len(files) // count][:count]
    return [np.asarray(Image.open(file).convert("RGB").resize((SIDE, SIDE)))[None] for file in chosen]


def static(source: Path, images: list[Pixels], spared: Sequence[str], path: Path) -> None:
    """Writes the model with int8 layers from the first convolution to the last, except those in `spared`."""
    quantize_static(
        source,
        path,
        Calibration(onnx.load(str(source)).graph.input[0].name, images),
        quant_format=QuantFormat.QOperator,
        op_types_to_quantize=["Conv", "Relu", "Pad", "Add", "Resize", "DepthToSpace"],
        nodes_to_exclude=list(spared),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        extra_options={"CalibMovingAverage": True},  # averages the smallest and largest values over the images
    )


def fold(source: Path, card: ModelCard, path: Path) -> None:
    """Writes the model with its ends folded."""
    state = onnx_weights.read(source)
    generator = generator_of(state["config"])
    (weights,) = state["averages"].values()
    generator.load_state_dict(weights)
    example = torch.zeros(2, SIDE, SIDE, 3, dtype=torch.uint8)
    onnx.save(to_onnx(TranslationGraph(FoldedEnds(generator)).eval(), (example,), (card.input,), card.output), path)


def contenders(source: Path, folded: Path, images: list[Pixels]) -> dict[str, Callable[[Path], object]]:
    """Functions that write each form of the model `source` to a path. `folded`: the same with its ends folded."""
    layers, folded_layers = (
        [node.name for node in onnx.load(str(path)).graph.node if node.op_type == "Conv"] for path in (source, folded)
    )
    return {
        "fp32": lambda path: shutil.copy(source, path),
        "fp16": lambda path: onnx.save(to_half(onnx.load(str(source))), path),
        "int8 dynamic": lambda path: quantize_dynamic(
            source, path, op_types_to_quantize=["Conv"], weight_type=QuantType.QUInt8
        ),
        "int8 static": lambda path: static(source, images, (), path),
        "int8 static, but for the first and the last layer": lambda path: static(
            source, images, [layers[0], layers[-1]], path
        ),
        "fp32, ends folded": lambda path: shutil.copy(folded, path),
        "int8 static, ends folded": lambda path: static(folded, images, (), path),
        "int8 static, ends folded, but for the last layer": lambda path: static(
            folded, images, folded_layers[-1:], path
        ),
    }


def open_session(path: Path) -> ort.InferenceSession:
    """A session on one thread of the CPU."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def milliseconds(session: ort.InferenceSession, image: Pixels) -> float:
    """CPU time of one run, in the calling thread."""
    start = time.thread_time()
    session.run(None, {session.get_inputs()[0].name: image})
    return 1000 * (time.thread_time() - start)


def main() -> None:
    """Measures and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    newest = max((BUNDLED_MODELS / "horse2zebra").iterdir(), key=lambda folder: int(folder.name))
    parser.add_argument("--model", type=Path, default=newest)
    chosen = parser.parse_args()
    logging.getLogger().setLevel(logging.ERROR)  # the quantiser recommends pre-processing, which changes nothing here
    card = read_card(chosen.model)
    source = {"horse2zebra": "A", "zebra2horse": "B"}[str(card.direction)]
    calibration, test = (
        read_images(chosen.data / "horse2zebra" / f"{part}{source}", count)
        for part, count in (("train", CALIBRATION_IMAGES), ("test", TEST_IMAGES))
    )
    sizes, sessions = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        folded = Path(scratch) / "folded.onnx"
        fold(chosen.model / MODEL_FILE, card, folded)
        for place, (name, write) in enumerate(contenders(chosen.model / MODEL_FILE, folded, calibration).items()):
            path = Path(scratch) / f"{place}.onnx"
            write(path)
            sizes[name], sessions[name] = path.stat().st_size, open_session(path)
    times = [{name: milliseconds(session, test[0]) for name, session in sessions.items()} for _ in range(RUNS + 1)][1:]
    outputs = {
        name: np.concatenate([session.run(None, {card.input.name: image})[0] for image in test]).astype(int)
        for name, session in sessions.items()
    }
    fp32_ms = statistics.median(turn["fp32"] for turn in times)
    print(
        f"{card.name}/{card.version}, {SIDE}x{SIDE}, one thread of {platform.processor() or platform.machine()}, ",
        end="",
    )
    print(f"ONNX Runtime {ort.__version__}; fp32 takes {fp32_ms:.0f} ms\n")
    print("| form | time over fp32 | MB | mean error, grey levels | largest |\n|---|---|---|---|---|")
    for name in sessions:
        ratio = statistics.median(turn[name] / turn["fp32"] for turn in times)
        error = np.abs(outputs[name] - outputs["fp32"])
        print(f"| {name} | {ratio:.2f} | {sizes[name] / 1e6:.1f} | {error.mean():.2f} | {error.max()} |")


if __name__ == "__main__":
    main()
