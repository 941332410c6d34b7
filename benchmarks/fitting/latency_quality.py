"""Measures the latency of CycleGAN generators by their size, and draws it against the scores of published ones.

python -m benchmarks.fitting.latency_quality
    exports untrained generators into a temporary folder, times one 256 px image a run in ONNX Runtime on one
    thread and on two, in turn, and writes benchmarks/fitting/results/latency-quality.json
python -m benchmarks.fitting.latency_quality --models DIR ...
    draws docs/images/curve.png from that file and prints the table, with the KID of every published translator
    under those folders and of those that earlier runs were given: the file keeps them
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import onnx
import onnxruntime as ort
import torch

from benchmarks.fitting.fits import RESULTS
from benchmarks.report import ROOT
from export.graphs import TranslationGraph
from export.onnx_file import to_onnx
from service.card import CARD_FILE, ModelCard, TensorSpec
from service.settings import BUNDLED_MODELS
from training.networks.cyclegan import Generator, Size, size_of

matplotlib.use("Agg")

FOUND, PLOT = RESULTS / "latency-quality.json", ROOT / "docs" / "images" / "curve.png"
FILTERS, BLOCKS = (8, 16, 24, 32, 48, 64), (3, 6, 9)
SIDE, ROUNDS, THREADS = 256, 3, (1, 2)
METRIC = "KID x 100 (Inception)"
IMAGE = TensorSpec(name="image", type="uint8", shape=("N", "H", "W", 3), range="sRGB, 0 to 255")
TRANSLATION = IMAGE.model_copy(update={"name": "translation"})


SIZES = [Size(filters, blocks) for blocks in BLOCKS for filters in FILTERS]
SIZES += [
    Size(filters, blocks, folded=True) for filters, blocks in ((8, 6), (12, 4), (12, 6), (16, 3), (16, 6), (16, 10))
]


def export(size: Size, path: Path) -> float:
    """Writes an untrained generator of this size; returns its megabytes."""
    graph = TranslationGraph(Generator(**size._asdict())).eval().requires_grad_(False)
    example = torch.zeros(2, 64, 64, 3, dtype=torch.uint8)
    onnx.save(to_onnx(graph, (example,), (IMAGE,), TRANSLATION), str(path))
    return path.stat().st_size / 1e6


def open_session(path: Path, threads: int) -> ort.InferenceSession:
    """A session on the CPU; its threads sleep between operators, as in the service."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def measure() -> list[dict[str, Any]]:
    """Megabytes and milliseconds of every size, as medians over the rounds; for one thread, its CPU time too."""
    image = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
    rows, sessions = [], []
    with tempfile.TemporaryDirectory() as folder:
        for place, size in enumerate(SIZES):
            path = Path(folder) / f"{place}.onnx"
            rows.append({**size._asdict(), "megabytes": export(size, path)})
            sessions.append({threads: open_session(path, threads) for threads in THREADS})
    walls: list[dict[int, list[float]]] = [{threads: [] for threads in THREADS} for _ in SIZES]
    cpus: list[list[float]] = [[] for _ in SIZES]
    for _ in range(ROUNDS + 1):
        for place, by_threads in enumerate(sessions):
            for threads, session in by_threads.items():
                wall, cpu = time.perf_counter(), time.thread_time()
                session.run(None, {IMAGE.name: image})
                walls[place][threads].append(1e3 * (time.perf_counter() - wall))
                if threads == 1:
                    cpus[place].append(1e3 * (time.thread_time() - cpu))
    for row, wall_ms, cpu_ms in zip(rows, walls, cpus, strict=True):  # the first round warms up
        row["cpu_ms"] = statistics.median(cpu_ms[1:])
        row["ms"] = {str(threads): statistics.median(values[1:]) for threads, values in wall_ms.items()}
    return rows


def read_cards(folders: Iterable[Path]) -> Iterator[ModelCard]:
    """The cards of published translators under these folders."""
    for folder in folders:
        for path in sorted(folder.glob(f"*/*/{CARD_FILE}")):
            card = ModelCard.model_validate_json(path.read_bytes())
            if card.task == "translate":
                yield card


def scores(cards: Iterable[ModelCard]) -> dict[Size, dict[str, float]]:
    """The lowest KID x 100 of each size and direction.

    A generator without norms has the place of one with norms: its convolutions, which take the time, are the same.
    """
    found: dict[Size, dict[str, float]] = {}
    for card in cards:
        for score in card.scores:
            if score.metric == METRIC:
                size = size_of(card.training.config)._replace(norm="instance")
                best = found.setdefault(size, {})
                best[str(card.direction)] = min(score.value, best.get(str(card.direction), score.value))
    return found


def merge(kids: dict[Size, dict[str, float]], kept: list[dict[str, Any]]) -> dict[Size, dict[str, float]]:
    """The lower score of each size and direction; sizes without a latency are reported and left out."""
    merged: dict[Size, dict[str, float]] = {}
    for size, found in [*((row_size(row), row["kids"]) for row in kept), *kids.items()]:
        if size not in SIZES:
            print(f"{size} is scored but not timed, and left out: add it to SIZES")
            continue
        before = merged.setdefault(size, {})
        before |= {way: min(kid, before.get(way, kid)) for way, kid in found.items()}
    return merged


def row_size(row: dict[str, Any]) -> Size:
    """The size that a row of the file belongs to; a field that is younger than the row has its default."""
    return Size(**{field: row[field] for field in Size._fields if field in row})


def table(rows: list[dict[str, Any]], kids: dict[Size, dict[str, float]]) -> str:
    """A Markdown table, the fastest size first."""
    directions = sorted({direction for by_direction in kids.values() for direction in by_direction})
    lines = [
        "| filters x blocks | MB | CPU ms, 1 thread | ms, 1 thread | ms, 2 threads |"
        + "".join(f" KID x 100, {direction} |" for direction in directions),
        "|---" * (5 + len(directions)) + "|",
    ]
    for row in sorted(rows, key=lambda row: row["cpu_ms"]):
        kid = kids.get(row_size(row), {})
        cells = [
            str(row_size(row)),
            f"{row['megabytes']:.1f}",
            *(f"{value:.0f}" for value in (row["cpu_ms"], *row["ms"].values())),
            *(f"{kid[direction]:.2f}" if direction in kid else "" for direction in directions),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(rows: list[dict[str, Any]], kids: dict[Size, dict[str, float]], path: Path) -> None:
    """Plots CPU time by filters and blocks on the left, KID by CPU time on the right if there are scores."""
    figure, axes = plt.subplots(1, 2 if kids else 1, figsize=(10 if kids else 5.5, 4), squeeze=False)
    axis = axes[0, 0]
    for blocks in BLOCKS:
        line = [row for row in rows if row_size(row) == Size(row["filters"], blocks)]
        axis.plot([r["filters"] for r in line], [r["cpu_ms"] for r in line], marker="o", label=f"{blocks} blocks")
    axis.set(xlabel="filters", ylabel="CPU ms a 256 px image", xscale="log", yscale="log")
    axis.set_xticks(FILTERS, map(str, FILTERS), minor=False)
    axis.minorticks_off()
    axis.legend()
    axis.grid(alpha=0.3)
    if kids:
        times = {row_size(row): row["cpu_ms"] for row in rows}
        points = sorted((times[size], size, kid) for size, kid in kids.items())
        for direction in sorted({d for _, _, kid in points for d in kid}):
            shown = [(ms, kid[direction]) for ms, _, kid in points if direction in kid]
            axes[0, 1].scatter([ms for ms, _ in shown], [kid for _, kid in shown], label=direction)
        for ms, size, kid in points:  # one label for both directions: two would overlap
            place = (5, -12) if size.blocks == min(BLOCKS) else (5, 5)
            axes[0, 1].annotate(str(size), (ms, min(kid.values())), textcoords="offset points", xytext=place)
        longest = max(ms for ms, _, _ in points)
        axes[0, 1].set(xlabel="CPU ms a 256 px image", ylabel="KID x 100", xlim=(0, 1.6 * longest), ylim=(0, None))
        axes[0, 1].legend()
        axes[0, 1].grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Reads the command line; measures, or only draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, nargs="*", metavar="DIR", help="draw only; scores come from cards here")
    folders = parser.parse_args().models
    if folders is None:
        torch.set_num_threads(1)
        load, kept = os.getloadavg()[0], json.loads(FOUND.read_text())["scores"]
        write({"load_before": round(load, 1), "rows": measure(), "scores": kept})
    known = json.loads(FOUND.read_text())
    kids = merge(scores(read_cards(folders or [BUNDLED_MODELS])), known["scores"])
    write({**known, "scores": [{**size._asdict(), "kids": found} for size, found in sorted(kids.items())]})
    draw(known["rows"], kids, PLOT)
    print(table(known["rows"], kids))


def write(known: dict[str, Any]) -> None:
    """Writes the latencies and scores to the file."""
    FOUND.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
