"""Translates the images of a folder on a Ray cluster, and lists those that failed."""

import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import ray
import ray.data
from tqdm import tqdm

from gan_batch.manifest import Entry, Manifest, Options
from gan_batch.storage import BatchError, Folder
from gan_batch.translator import Translator
from imaging.names import is_image, translation_format, translation_name

BATCH = 16
"""Images of a task: what is done again after a node was lost, and what shares the time that Ray takes for a task."""
TASKS = 10_000
"""Most tasks of a run: a larger run has larger ones, since the driver keeps track of each."""
TRIES = 3
"""Times that a task is run whose process or node is lost each time."""
LOST_TASKS = 100
"""Most tasks that are given up so. A run that loses more has a fault that is not one image's."""
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
    finished is done again elsewhere, under the same names. An image whose process ends each time has failed. Raises
    BatchError when there are no images, when the folders overlap, when the translations there were made otherwise, or
    when Ray fails, and OSError when a folder cannot be read or written.
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
                for entry in _entries(source, target, model, options, missing):
                    manifest.add(entry)
                    if entry.problem is not None:
                        failures.append(entry)
                    progress.update()
            finally:
                manifest.flush()
    lines = "".join(json.dumps(asdict(entry)) + "\n" for entry in failures)
    target.write(FAILURES, lines.encode())
    return Summary(len(missing) - len(failures), len(names) - len(missing), len(failures))


def _entries(source: Folder, target: Folder, model: str, options: Options, names: list[str]) -> Iterator[Entry]:
    """An entry for each name. The images of a lost task are tried again one by one, to tell which of them ends it."""
    _connect()
    lost = dict.fromkeys(names)
    try:
        for size in (max(BATCH, -(-len(names) // TASKS)), 1):
            for row in _translated(source, target, model, options, list(lost), size) if lost else ():
                entry = Entry(**row)
                del lost[entry.image]
                yield entry
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        raise BatchError(f"Ray ended the run: {reason} (its logs are in /tmp/ray on each node)") from error
    for name in lost:
        translation = translation_name(name, translation_format(name, options.format))
        detail = f"its process ended {TRIES} times: the image may need more memory than the node has"
        yield Entry(name, translation, "process-died", detail)


def _connect() -> None:
    """Starts Ray, or joins the cluster of RAY_ADDRESS. What Ray logs goes into its files, not to the terminal."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL)


def _translated(
    source: Folder, target: Folder, model: str, options: Options, names: list[str], size: int
) -> Iterable[dict[str, Any]]:
    """An iterator over the rows of `Translator`, as tasks of `size` images end; those of lost tasks are missing.

    Only names and entries pass through Ray. Ray Data starts a task where a process is free, and no more than a few
    ahead of that: memory does not grow with the number of images.
    """
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = LOST_TASKS
    resources = ray.cluster_resources()
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
    processes = gpus or cpus
    if not processes:
        raise BatchError("the Ray cluster has neither CPUs nor GPUs: start its nodes with some")
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
        compute=ray.data.ActorPoolStrategy(
            min_size=1,
            max_size=processes,
            initial_size=processes,
            # a task that waits for a process is lost with it, so that an image alone has none behind it
            max_tasks_in_flight_per_actor=1 if size == 1 else None,
        ),
        num_cpus=None if gpus else 1,
        num_gpus=1 if gpus else None,
        # Ray restarts processes without a bound: the pool would wait for ever for one that is not restarted.
        max_task_retries=TRIES - 1,
    ).iter_rows()


def _hidden(name: str) -> bool:
    """Whether a folder of the path is hidden, as those of programs are."""
    return any(part.startswith(".") for part in name.split("/"))
