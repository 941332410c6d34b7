"""Measures what the cores can do: ONNX Runtime and the codecs in a bare loop, in one process.

    python benchmarks/serving/limits.py --models models run mnist --batch 64 --seconds 3        the model alone
    python benchmarks/serving/limits.py --models models translate --batch 4 --seconds 5 a.jpg   decode, run, encode
    python benchmarks/serving/limits.py --models models digits --batch 64 --seconds 5           run, one PNG of 1,024

Prints JSON: items a second, and the median seconds that each part of a batch takes.
"""

import argparse
import io
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnxruntime as ort
from PIL import Image

T = TypeVar("T")

DIGITS = 1024
SNAP = 32
SIDE = 256


def open_session(models: Path, name: str) -> ort.InferenceSession:
    """A session of a model's newest version, with ONNX Runtime's defaults and one thread a core."""
    newest = max((models / name).glob("*/model.onnx"), key=lambda path: int(path.parent.name))
    options = ort.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    return ort.InferenceSession(str(newest), options, providers=["CPUExecutionProvider"])


class Parts:
    """Seconds of each part, over the rounds of a loop."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def timed(self, part: str, work: Callable[[], T]) -> T:
        """Runs `work`, records its time under `part`, returns its result."""
        start = time.perf_counter()
        result = work()
        self.seconds.setdefault(part, []).append(time.perf_counter() - start)
        return result

    def medians(self) -> dict[str, float]:
        """Median seconds of each part."""
        return {part: statistics.median(times) for part, times in self.seconds.items()}


def loop(batch: Callable[[Parts], int], seconds: float) -> dict[str, Any]:
    """Runs `batch`, which returns its number of items, for `seconds` after one round of warm-up."""
    batch(Parts())
    parts, items, rounds = Parts(), 0, []
    start = time.perf_counter()
    while (begun := time.perf_counter()) - start < seconds:
        items += batch(parts)
        rounds.append(time.perf_counter() - begun)
    return {"rate": items / (time.perf_counter() - start), "p50": statistics.median(rounds), "parts": parts.medians()}


def run(session: ort.InferenceSession, batch: int) -> Callable[[Parts], int]:
    """Runs the model alone, on inputs that are ready."""
    spec, random = session.get_inputs()[0], np.random.default_rng(0)
    if spec.type == "tensor(uint8)":
        rows: Any = random.integers(0, 256, (batch, SIDE, SIDE, 3), dtype=np.uint8)
    else:
        rows = random.standard_normal((batch, spec.shape[1]), dtype=np.float32)

    def once(parts: Parts) -> int:
        parts.timed("run", lambda: session.run(None, {spec.name: rows}))
        return batch

    return once


def translate(session: ort.InferenceSession, batch: int, bodies: list[bytes]) -> Callable[[Parts], int]:
    """Translates encoded images to JPEGs of their own size, in batches of one shape."""
    name = session.get_inputs()[0].name
    shaped: dict[tuple[int, int], list[bytes]] = {}
    for body in bodies:
        shaped.setdefault(_inner(Image.open(io.BytesIO(body)).size), []).append(body)
    # whole batches, each shape as often as it occurs among the bodies
    batches = [[same[(i + j) % len(same)] for j in range(batch)] for same in shaped.values() for i in range(len(same))]
    turn = 0

    def once(parts: Parts) -> int:
        nonlocal turn
        chosen = batches[turn % len(batches)]
        turn += 1
        images = parts.timed("decode", lambda: [Image.open(io.BytesIO(body)).convert("RGB") for body in chosen])
        rows = parts.timed("decode", lambda: np.stack([np.asarray(_scaled(p, _inner(p.size))) for p in images]))
        (outputs,) = parts.timed("run", lambda: session.run(None, {name: rows}))
        pairs = list(zip(outputs, images, strict=True))
        parts.timed("encode", lambda: [_jpeg(pixels, p.size) for pixels, p in pairs])
        return batch

    return once


def digits(session: ort.InferenceSession, batch: int) -> Callable[[Parts], int]:
    """Samples 1,024 digits in batches, then encodes them as one PNG."""
    spec = session.get_inputs()[0]
    rows = np.random.default_rng(0).standard_normal((DIGITS, spec.shape[1]), dtype=np.float32)
    side = round(DIGITS**0.5)

    def once(parts: Parts) -> int:
        def all_batches() -> np.ndarray:
            starts = range(0, DIGITS, batch)
            return np.concatenate([session.run(None, {spec.name: rows[i : i + batch]})[0] for i in starts])

        drawn = parts.timed("run", all_batches)

        def png() -> bytes:
            sheet = drawn.reshape(side, side, 28, 28).swapaxes(1, 2).reshape(side * 28, side * 28)
            buffer = io.BytesIO()
            Image.fromarray(sheet).save(buffer, "PNG", compress_level=1)
            return buffer.getvalue()

        parts.timed("encode", png)
        return DIGITS

    return once


def _inner(size: tuple[int, int]) -> tuple[int, int]:
    """The size in the model: the longest side about 256, both multiples of 32, as the service does it."""
    scale = SIDE / max(size) / SNAP
    return max(64, round(size[0] * scale) * SNAP), max(64, round(size[1] * scale) * SNAP)


def _scaled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)


def _jpeg(pixels: np.ndarray, size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    _scaled(Image.fromarray(pixels), size).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def main() -> None:
    """Reads the command line and prints one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True)
    commands = parser.add_subparsers(required=True, dest="command")
    for name in ("run", "translate", "digits"):
        command = commands.add_parser(name)
        if name == "run":
            command.add_argument("model")
        command.add_argument("--batch", type=int, required=True)
        command.add_argument("--seconds", type=float, required=True)
        if name == "translate":
            command.add_argument("files", nargs="+", type=Path)
    chosen = parser.parse_args()
    if chosen.command == "run":
        work = run(open_session(chosen.models, chosen.model), chosen.batch)
    elif chosen.command == "translate":
        bodies = [path.read_bytes() for path in chosen.files]
        work = translate(open_session(chosen.models, "horse2zebra"), chosen.batch, bodies)
    else:
        work = digits(open_session(chosen.models, "mnist"), chosen.batch)
    print(json.dumps(loop(work, chosen.seconds)))


if __name__ == "__main__":
    main()
