"""Translates the files of one request, a few at a time, into an archive that is sent while they are translated."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import NamedTuple

from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from service.api.context import AppContext, context_of
from service.api.negotiation import VARY, choose_format
from service.api.params import header
from service.api.problems import MEDIA_TYPE as PROBLEM
from service.api.problems import problem_response, unexpected
from service.api.translation.archive import ARCHIVES, Archive, Kind, entry_stems, new_archive
from service.api.translation.one_image import Translated, TranslateQuery, translate_file
from service.api.translation.upload import UploadedFile, empty
from service.deadline import Deadline
from service.errors import Problem
from service.images import codecs
from service.images.preprocess import InputSpec
from service.model import Model
from service.telemetry.stages import Stages

IN_FLIGHT = 4
"""Images of a request that are translated at the same time: the others leave room in the queue for other clients."""
STALL_SECONDS = 30.0
"""A client that takes nothing of the archive for so long has gone."""
PIECE_BYTES = 2**18
"""Bytes that a client must take in that time."""
EXTENSIONS: dict[codecs.Format, str] = {"png": "png", "jpeg": "jpg", "webp": "webp"}
NOT_BEGUN = (503, 504)
"""Status of an image for which there was no room or no time. If all have one, so has the response."""


def chosen_archive(asked: codecs.Format | None, accept: str | None, files: int) -> Kind | None:
    """Returns the archive that a response to so many files is; None for the image itself, which answers one file.

    `asked`: the format of the entries by parameter, with which image types in the Accept header do not count for
    several files. One file comes in an archive if the header names and prefers it. Raises Problem 406, also when the
    header allows no format of the entries.
    """
    accept = accept or ""
    if files > 1:
        ranges = accept if asked is None else _without_images(accept)
        kind: Kind | None = choose_format(
            None, ranges, ARCHIVES, "zip", "accept one of them, use format=, or send one image a request"
        )
    elif any(media_type in accept.lower() for media_type in ARCHIVES.values()):
        chosen = choose_format(None, accept, {**codecs.MEDIA_TYPES, **ARCHIVES}, "png")
        kind = next((kind for kind in ARCHIVES if kind == chosen), None)
    else:
        kind = None
    if kind is not None:
        choose_format(asked, accept, codecs.MEDIA_TYPES, "png", "accept one of them beside the archive, or use format=")
    return kind


def _without_images(accept: str) -> str:
    return ",".join(part for part in accept.split(",") if not part.strip().lower().startswith("image/"))


class Outcome(NamedTuple):
    """What became of a file."""

    stem: str
    """Name of its entry, without the extension."""
    result: Translated | JSONResponse
    """The translation, or a problem document."""


class BulkWork:
    """Translates files, some at a time, and hands out what became of them as they end. Runs until `close`."""

    def __init__(
        self,
        files: Iterable[UploadedFile],
        translate: Callable[[UploadedFile], Awaitable[Translated]],
        request_id: str,
        at_once: int,
    ) -> None:
        """`at_once`: files that are translated at the same time."""
        self._translate, self._request_id = translate, request_id
        self._waiting = deque(files)
        self._stems = deque(entry_stems(file.name for file in self._waiting))
        self._left = len(self._waiting)
        self._outcomes = asyncio.Queue[Outcome](1)  # a client that reads slowly holds the translations up
        self._workers = [asyncio.create_task(self._work()) for _ in range(min(at_once, self._left))]

    async def next(self) -> Outcome | None:
        """Returns the next outcome, in the order in which they end; None when there are no more."""
        if not self._left:
            return None
        self._left -= 1
        return await self._outcomes.get()

    def close(self) -> None:
        """Ends what still runs."""
        for worker in self._workers:
            worker.cancel()
        self._waiting.clear()

    async def _work(self) -> None:
        while self._waiting:
            stem, result = self._stems.popleft(), await self._one(self._waiting.popleft())
            await self._outcomes.put(Outcome(stem, result))
            del result

    async def _one(self, file: UploadedFile) -> Translated | JSONResponse:
        try:
            return await self._translate(file)
        except Problem as problem:
            return problem_response(problem, self._request_id)
        except Exception:
            return unexpected(self._request_id)


class ArchiveResponse(StreamingResponse):
    """Sends pieces of an archive, and closes its work when the client has all of them, or has gone."""

    def __init__(self, pieces: AsyncIterator[bytes], work: BulkWork, media_type: str, headers: dict[str, str]) -> None:
        super().__init__(pieces, media_type=media_type, headers=headers)
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""

        async def send_in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(STALL_SECONDS):
                    await send(message)
            except TimeoutError:
                raise ClientDisconnect from None

        try:
            await super().__call__(scope, receive, send_in_time)
        finally:
            self._work.close()


async def translate_all(
    request: Request,
    model: Model,
    spec: InputSpec,
    query: TranslateQuery,
    kind: Kind,
    files: list[UploadedFile],
    deadline: Deadline,
    spent: Stages,
) -> Response:
    """Returns an archive of the files' translations, in the order in which they end.

    Of a file that cannot be translated it has the problem document. The response is a problem itself only if no file
    could be begun.
    """
    context, accept = context_of(request), header(request.scope, b"accept")

    async def translate(file: UploadedFile) -> Translated:
        if not file.size:
            raise empty()
        return await translate_file(context, model, spec, query, accept, file.chunks, deadline)

    work = BulkWork(files, translate, request.state.request_id, min(IN_FLIGHT, context.settings.queue_size))
    files.clear()
    first: list[Outcome] = []
    refused: JSONResponse | None = None
    try:
        while (outcome := await work.next()) is not None:
            first.append(outcome)
            if isinstance(outcome.result, Translated) or outcome.result.status_code not in NOT_BEGUN:
                break
            refused = refused or outcome.result
        else:
            if refused is not None:
                return refused
    except BaseException:
        work.close()
        raise
    archive = new_archive(kind)
    headers = {**VARY, "X-Model": model.id, "Server-Timing": spent.server_timing()}
    if kind == "zip":
        headers["Content-Disposition"] = f'attachment; filename="{model.card.direction}.zip"'
    pieces = _pieces(context, archive, first, work)
    return ArchiveResponse(pieces, work, archive.media_type, headers)


async def _pieces(context: AppContext, archive: Archive, first: list[Outcome], work: BulkWork) -> AsyncIterator[bytes]:
    """Gives the archive in pieces. `first`: outcomes that the work has handed out before."""
    while outcome := first.pop(0) if first else await work.next():
        entry = await context.codecs.run(archive.add, *_entry(outcome))  # a checksum takes milliseconds
        del outcome
        for start in range(0, len(entry), PIECE_BYTES):
            yield entry[start : start + PIECE_BYTES]
        del entry
    yield archive.end()


def _entry(outcome: Outcome) -> tuple[str, bytes, dict[str, str]]:
    stem, result = outcome
    if isinstance(result, Translated):
        headers = {"Content-Type": codecs.MEDIA_TYPES[result.format], "X-Size": result.inside}
        return f"{stem}.{EXTENSIONS[result.format]}", result.file, headers
    return f"{stem}.problem.json", bytes(result.body), {"Content-Type": PROBLEM}
