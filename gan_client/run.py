"""Translates the images of a plan, and lists those that failed."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from gan_client import pool
from gan_client.client import AsyncClient
from gan_client.errors import ClientError, ProblemError
from gan_client.folder import Job, Options, Plan, make_folder, record, write_whole
from gan_client.results import Model, Translation
from gan_client.retry import asks_to_wait

REFUSES_ALL = (401, 403, 404)
"""Statuses that concern every image of a run: a key that is unknown or may not, a model that is not there any more."""
SAID_S = 5.0
"""Pauses from this length on are told also where there is no terminal to show them."""


@dataclass
class Summary:
    """Numbers of images."""

    translated: int = 0
    skipped: int = 0
    """Those whose translation was there already."""
    failed: int = 0


class Pause:
    """Holds back the requests of a run while the service asks it to wait."""

    def __init__(self, progress: tqdm) -> None:
        self._progress = progress
        self._ends = 0.0

    async def over(self) -> None:
        """Returns when there is no pause."""
        if (left := self._ends - time.monotonic()) > 0:
            await asyncio.sleep(left)
            await self.over()  # it may have become longer

    def begin(self, problem: ProblemError) -> None:
        """Begins a pause, or lengthens the one that there is, and shows what it waits for."""
        seconds = problem.retry_after or 0.0
        now = time.monotonic()
        if self._ends <= now:
            self._progress.set_postfix_str(f"waiting {seconds:g} s: {problem.detail}")
            if self._progress.disable and seconds >= SAID_S:
                print(f"waiting {seconds:g} s: {problem.detail}", file=sys.stderr)
        self._ends = max(self._ends, now + seconds)


class Failures:
    """Owns the file of failures: a JSON object a line. A run without failures leaves none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None
        path.unlink(missing_ok=True)  # of an earlier run, whose failures are tried again

    def add(self, image: Path, error: Exception) -> None:
        """Adds one image."""
        if self._file is None:
            make_folder(self._path.parent)
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
    client: AsyncClient, plan: Plan, out: Path, options: Options, in_flight: int, failures_file: Path
) -> Summary:
    """Translates the images of `plan` into `out` where their translation is not there, and shows the progress.

    `client` is one that does not wait: the whole run does, and sends an image again, when the service asks for that. An
    image that fails is added to `failures_file`, and the others continue. Raises ClientError where the others would
    fail too: the service is gone, is none, or refuses the key or the model.
    """
    summary, failures = Summary(), Failures(failures_file)

    async def translate(job: Job) -> None:
        if job.error is not None:
            raise job.error
        file = await asyncio.to_thread(job.source.read_bytes)
        translation = await ask(job, file)
        record(out, options)
        await asyncio.to_thread(write_whole, job.target, translation.file)

    async def ask(job: Job, file: bytes) -> Translation:
        while True:
            await pause.over()
            try:
                return await client.translate(
                    file,
                    options.direction,
                    size=options.size,
                    detail=options.detail,
                    format=job.format,
                    model=options.model,
                )
            except ProblemError as error:
                if not asks_to_wait(error):
                    raise
                pause.begin(error)

    with tqdm(total=sum(1 for _ in plan), unit="image", disable=None, smoothing=0.05) as progress:
        pause = Pause(progress)

        def skipped() -> None:
            summary.skipped += 1
            progress.update()

        try:
            async for job, error in pool.run_async(_missing(plan, skipped), translate, in_flight):
                progress.update()
                if error is None:
                    summary.translated += 1
                    progress.set_postfix_str("", refresh=False)
                    continue
                refused = isinstance(error, ProblemError) and error.status not in REFUSES_ALL
                if isinstance(error, ClientError) and not refused:
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
