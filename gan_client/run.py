"""Translates the images of a plan, and lists those that failed."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from gan_client import pool
from gan_client.client import AsyncClient
from gan_client.errors import ClientError, ProblemError, UnreachableError
from gan_client.folder import Job, Options, Plan, write_whole
from gan_client.results import Model

KEY_REFUSED = 401


@dataclass
class Summary:
    """Numbers of images."""

    translated: int = 0
    skipped: int = 0
    """Those whose translation was there already."""
    failed: int = 0


class Failures:
    """Owns the file of failures: a JSON object a line. A run without failures leaves none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None
        path.unlink(missing_ok=True)  # of an earlier run, whose failures are tried again

    def add(self, image: Path, error: Exception) -> None:
        """Adds one image."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("w", encoding="utf-8")
        entry: dict[str, Any] = {"image": str(image), "detail": str(error)}
        if isinstance(error, ProblemError):
            entry |= {"status": error.status, "problem": error.kind, "request_id": error.request_id}
            entry["detail"] = error.detail
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()


def choose_model(models: Sequence[Model], direction: str, wanted: str | None) -> str:
    """Returns the id of the model for all images of a run. Raises ClientError when the service has none."""
    fitting = [model for model in models if model.direction == direction]
    if not fitting:
        directions = ", ".join(sorted({model.direction for model in models if model.direction})) or "none"
        raise ClientError(f"--direction: the service has {directions}, not {direction}")
    if wanted is None:
        return next(model.id for model in fitting if model.default)
    if wanted not in [model.id for model in fitting]:
        ids = ", ".join(model.id for model in fitting)
        raise ClientError(f"--model: for {direction} the service has {ids}, not {wanted}")
    return wanted


async def translate_all(
    client: AsyncClient, plan: Plan, options: Options, in_flight: int, failures_file: Path
) -> Summary:
    """Translates the images of `plan` whose translation is not there, and shows the progress on a terminal.

    An image that fails is added to `failures_file`, and the others continue. Raises ClientError where the others would
    fail too: the service is gone, or refuses the key.
    """
    summary, failures = Summary(), Failures(failures_file)

    async def translate(job: Job) -> None:
        file = await asyncio.to_thread(job.source.read_bytes)
        translation = await client.translate(
            file,
            options.direction,
            size=options.size,
            detail=options.detail,
            format=job.format,
            model=options.model,
        )
        await asyncio.to_thread(write_whole, job.target, translation.file)

    with tqdm(total=sum(1 for _ in plan), unit="image", disable=None, smoothing=0.05) as progress:

        def skipped() -> None:
            summary.skipped += 1
            progress.update()

        try:
            async for job, error in pool.run_async(_missing(plan, skipped), translate, in_flight):
                progress.update()
                if error is None:
                    summary.translated += 1
                    continue
                if isinstance(error, UnreachableError) or (
                    isinstance(error, ProblemError) and error.status == KEY_REFUSED
                ):
                    raise error
                summary.failed += 1
                failures.add(job.source, error)
        finally:
            failures.close()
    return summary


def _missing(jobs: Iterable[Job], skipped: Callable[[], None]) -> Iterator[Job]:
    """The jobs whose translation is not there; `skipped` is called for each of the others."""
    for job in jobs:
        if job.done:
            skipped()
        else:
            yield job
