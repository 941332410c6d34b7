"""Compares numbers of threads for ONNX Runtime on this CPU: python -m benchmarks.serving.threads

Prints items a second for digits and for 256 px translations: one run at a time on one thread, one run at a time on
all threads (which sleep or spin between operators), and one run a core side by side, each on one thread. The
contenders take turns; each figure is the median of five.
"""

import argparse
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.card import MODEL_FILE, read_card
from service.runtime.cpu import usable_cores
from service.runtime.inputs import feeder
from service.settings import BUNDLED_MODELS

SECONDS, ROUNDS = 1.0, 5


def open_session(path: Path, threads: int, spin: bool = True) -> ort.InferenceSession:
    """A session on the CPU."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def rate(session: ort.InferenceSession, feed: dict[str, Any], side_by_side: int = 1) -> float:
    """Items a second of `side_by_side` threads, each of which runs the session in a loop."""
    items = len(next(iter(feed.values())))
    done = [0] * side_by_side
    end = time.perf_counter() + SECONDS

    def work(place: int) -> None:
        while time.perf_counter() < end:
            session.run(None, feed)
            done[place] += items

    start = time.perf_counter()
    threads = [threading.Thread(target=work, args=(place,)) for place in range(side_by_side)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - start)


def newest(name: str) -> Path:
    """Folder of the bundled model's newest version."""
    return max((BUNDLED_MODELS / name).iterdir(), key=lambda folder: int(folder.name))


def main() -> None:
    """Measures and prints a Markdown table."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    cores, dice = usable_cores(), np.random.default_rng(0)
    rows: dict[tuple[str, str], NDArray[Any]] = {
        ("mnist", "1 digit"): np.arange(1, dtype=np.uint64)[:, None],
        ("mnist", "64 digits"): np.arange(64, dtype=np.uint64)[:, None],
        ("horse2zebra", "1 image"): dice.integers(0, 256, (1, 256, 256, 3), dtype=np.uint8),
        ("horse2zebra", "8 images"): dice.integers(0, 256, (8, 256, 256, 3), dtype=np.uint8),
    }
    print(f"| items a second | 1 thread | {cores} threads, sleeping | {cores} threads, spinning | {cores} runs of 1 |")
    print("|---|---|---|---|---|")
    for (name, label), batch in rows.items():
        folder = newest(name)
        feed, path = feeder(read_card(folder))(batch), folder / MODEL_FILE
        narrow, asleep, spinning = open_session(path, 1), open_session(path, cores, False), open_session(path, cores)
        contenders = [(narrow, 1), (asleep, 1), (spinning, 1), (narrow, cores)]
        found = [[rate(session, feed, width) for session, width in contenders] for _ in range(ROUNDS)]
        medians = [statistics.median(column) for column in zip(*found, strict=True)]
        print(
            f"| {label} a run | "
            + " | ".join(f"{value:,.0f}" if value > 100 else f"{value:.1f}" for value in medians)
            + " |"
        )


if __name__ == "__main__":
    main()
