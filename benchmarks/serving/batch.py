"""Compares gan-batch on this machine with a bare loop over the same images, one process a core.

    python -m benchmarks.serving.batch --photographs 480 --rounds 3

Both read, decode, translate, encode and write the same photographs with the same code, `gan_batch.translator`. Ray and
the processes of the loop start before the clock does, as both would for a folder of hours; sessions load within it. The
loop's processes get equal parts of the folder at once.
"""

import argparse
import logging
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import ray

from benchmarks.report import processor, table
from benchmarks.serving.client import write_photographs
from gan_batch.manifest import Manifest, Options
from gan_batch.run import run
from gan_batch.storage import Folder
from gan_batch.translator import Translator
from service.card import read_card
from service.settings import BUNDLED_MODELS

MODEL = BUNDLED_MODELS / "horse2zebra" / "10"


def translate(source: Path, out: Path, names: list[str]) -> int:
    """Translates images in this process; returns how many have a translation."""
    translator = Translator(str(source), str(out), str(MODEL), None, True, None, "cpu")
    return sum(entry.problem is None for entry in translator.translate(names))


def bare(pool: ProcessPoolExecutor, cores: int, source: Path, out: Path) -> float:
    """Images a second of the bare loop."""
    names = sorted(path.name for path in source.iterdir())
    began = time.monotonic()
    made = sum(pool.map(partial(translate, source, out), [names[n::cores] for n in range(cores)]))
    if made != len(names):
        raise RuntimeError(f"the bare loop translated {made} of {len(names)} images")
    return made / (time.monotonic() - began)


def on_ray(source: Path, out: Path) -> float:
    """Images a second of gan-batch."""
    card = read_card(MODEL)
    options = Options(f"{card.name}/{card.version}", card.full_artefact.sha256, None, "on", None)
    began = time.monotonic()
    summary = run(Folder(str(source)), Folder(str(out)), str(MODEL), options)
    seconds = time.monotonic() - began
    if summary.failed or len(Manifest(Folder(str(out))).done()) != summary.translated:
        raise RuntimeError(f"gan-batch had failures: {summary}")
    return summary.translated / seconds


def main() -> None:
    """Runs the comparison and prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=int, default=480)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as scratch, ProcessPoolExecutor(cores) as pool:
        source = Path(scratch) / "photographs"
        source.mkdir()
        write_photographs(source, given.photographs)
        list(pool.map(abs, range(cores)))  # starts the processes
        ray.init("local", num_cpus=cores, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        rows = []
        for turn in range(given.rounds):
            loop = bare(pool, cores, source, Path(scratch) / f"loop-{turn}")
            batch = on_ray(source, Path(scratch) / f"ray-{turn}")
            rows.append((loop, batch, batch / loop))
            print(f"bare loop {loop:.2f}/s, gan-batch {batch:.2f}/s", file=sys.stderr)
        print(f"{processor()}, {cores} cores; {given.photographs} photographs, {given.rounds} rounds in turn\n")
        head = ["images a second", "bare loop", "gan-batch", "ratio"]
        lines = [[f"round {n}", *(f"{value:.2f}" for value in row)] for n, row in enumerate(rows, 1)]
        print(*table(head, lines), sep="\n")


if __name__ == "__main__":
    main()
