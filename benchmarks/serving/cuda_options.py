"""Measures what each CUDA option is worth on this machine.

    python -m benchmarks.serving.cuda_options [--models DIR] [--device cpu]

Prints items a second for every batch size, copies to and from the GPU included: with the service's defaults, and with
each option changed. A model with a half-precision file runs that by default; the last column is its speed relative to
fp32. --device cpu tests the script without a GPU; the CPU has no half precision, so that column means nothing there.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.card import ModelCard, read_card
from service.runtime import cuda_driver
from service.runtime.cuda import MAX_IMAGES, USUAL_SIDE, Lane, open_session, provider_options
from service.runtime.devices import cuda_artefacts
from service.runtime.io_binding import HostMemory, Memory
from service.settings import BUNDLED_MODELS, Settings

SECONDS, ROUNDS = 0.5, 3
VARIANTS = {
    "default": Settings(),
    "no CUDA graphs": Settings(cuda_graphs=False),
    "no TF32": Settings(cuda_tf32=False),
    "exhaustive search": Settings(cuda_conv_search="exhaustive"),
}
FP32 = {"fp32": Settings(cuda_fp16=False)}
"""Added for a model with a half-precision file."""


def open_lane(folder: Path, card: ModelCard, settings: Settings, memory: Memory) -> Lane:
    """The model, prepared as one slot runs it."""
    path = folder / cuda_artefacts(card, settings)[0].file
    if memory.device == "cuda":
        session = open_session(path, provider_options(settings, memory.device_id))
    else:
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    lane = Lane(session, card, memory, settings.batch_sizes, MAX_IMAGES, graphs=settings.cuda_graphs)
    lane.prepare()
    return lane


def rate(lane: Lane, rows: np.ndarray) -> float:
    """Items a second of batches `rows`."""
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        lane.run(rows)
        done += len(rows)
    return done / (time.perf_counter() - start)


def main() -> None:
    """Measures and prints a Markdown table for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--models", type=Path, default=BUNDLED_MODELS)
    chosen = parser.parse_args()
    device = chosen.device
    if device == "cuda" and (missing := cuda_driver.missing_part()):
        sys.exit(f"no working CUDA here: {missing}")
    memory: Memory = cuda_driver.CudaMemory(0) if device == "cuda" else HostMemory()
    for folder in sorted(chosen.models.glob("*/*/")):
        card = read_card(folder)
        variants = {**VARIANTS, **(FP32 if card.half else {})}
        lanes = {name: open_lane(folder, card, settings, memory) for name, settings in variants.items()}
        heads = ["batch", *variants, *(["fp16 over fp32"] if card.half else [])]
        print(f"\n{card.name}/{card.version}, items a second on {device}\n\n| {' | '.join(heads)} |")
        print("|---" * len(heads) + "|")
        sizes = [s for s in Settings().batch_sizes if card.latent is not None or s <= MAX_IMAGES]
        for size in sizes:
            image = (USUAL_SIDE, USUAL_SIDE, 3)
            rows: NDArray[Any] = np.zeros((size, *image), np.uint8)
            if card.latent is not None:
                rows = np.arange(size * (1 + (card.label is not None)), dtype=np.uint64).reshape(size, -1) % 10
            found = [[rate(lane, rows) for lane in lanes.values()] for _ in range(ROUNDS)]
            medians = [statistics.median(column) for column in zip(*found, strict=True)]
            ratios = [f"{medians[0] / medians[-1]:.2f}"] if card.half else []
            print(f"| {size} | {' | '.join([*(f'{value:,.0f}' for value in medians), *ratios])} |", flush=True)


if __name__ == "__main__":
    main()
