"""Translates the images of a folder on a Ray cluster, and lists those that failed."""

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import ray
import ray.data
from tqdm import tqdm

from gan_batch.errors import BatchError
from gan_batch.manifest import Entry, Manifest, Options
from gan_batch.storage import Folder
from gan_batch.translator import Translator
from imaging.names import is_image

BATCH = 16
"""Images of a task: what is done again after a node was lost, and what shares the time that Ray takes for a task."""
TASKS = 10_000
"""Most tasks of a run: a larger run has larger ones, since the driver keeps track of each."""
FAILURES = "failures.jsonl"
"""File below the folder of translations that lists the images that failed, in JSON lines."""


@dataclass(frozen=True)
class Summary:
    """Numbers of images."""

    translated: int
    skipped: int
    """Those that an earlier run translated."""
    failed: int


def run(source: Folder, target: Folder, model: str, options: Options) -> Summary:
    """Translates the images of `source` that `target` lacks, with the published model in the folder `model`.

    Ray decides where: each process has a GPU, or one core where the cluster has no GPUs. What a lost node had not
    finished is done again elsewhere, under the same names. Raises BatchError when there are no images, when the
    folders overlap, or when the translations there were made otherwise, and OSError when a folder cannot be read or
    written.
    """
    if target.overlaps(source):
        raise BatchError(
            f"{target.address} and {source.address} are the same folder, or one is inside the other: choose a folder "
            "apart from the images for the translations"
        )
    manifest = Manifest(target)
    names = sorted(name for name in source.names() if is_image(name) and not _hidden(name))
    if not names:
        raise BatchError(f"there is no image in {source.address}")
    manifest.check(options)
    done = manifest.done()
    missing = [name for name in names if name not in done]
    failures = []
    if missing:
        with tqdm(total=len(names), initial=len(names) - len(missing), unit="image", disable=None) as progress:
            try:
                for row in _translated(source, target, model, options, missing):
                    entry = Entry(**row)
                    manifest.add(entry)
                    if entry.problem is not None:
                        failures.append(entry)
                    progress.update()
            finally:
                manifest.flush()
    lines = "".join(json.dumps(asdict(entry)) + "\n" for entry in failures)
    target.write(FAILURES, lines.encode())
    return Summary(len(missing) - len(failures), len(names) - len(missing), len(failures))


def _translated(
    source: Folder, target: Folder, model: str, options: Options, names: list[str]
) -> Iterable[dict[str, Any]]:
    """An iterator over the rows of `Translator`, as tasks end. Only names and entries pass through Ray.

    Ray Data starts a task where a process is free, and no more than a few ahead of that: memory does not grow with the
    number of images.
    """
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    resources = ray.cluster_resources()
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
    processes = gpus or cpus
    if not processes:
        raise BatchError("the Ray cluster has neither CPUs nor GPUs: start its nodes with some")
    size = max(BATCH, -(-len(names) // TASKS))
    images = ray.data.from_items([{"image": name} for name in names], override_num_blocks=-(-len(names) // size))
    arguments = {
        "source": source.address,
        "target": target.address,
        "model": model,
        "size": options.size,
        "detail": options.detail == "on",
        "format": options.format,
        "device": "cuda" if gpus else "cpu",
    }
    return images.map_batches(
        Translator,
        fn_constructor_kwargs=arguments,
        batch_size=size,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=processes, initial_size=processes),
        num_cpus=None if gpus else 1,
        num_gpus=1 if gpus else None,
    ).iter_rows()


def _hidden(name: str) -> bool:
    """Whether a folder of the path is hidden, as those of programs are."""
    return any(part.startswith(".") for part in name.split("/"))
