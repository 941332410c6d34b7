"""Follows the models folder, and has the reloader look when something in it changes."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

from watchfiles import Change, awatch
from watchfiles.main import FileChange

from service.live.folder import links_to
from service.live.reloader import Reloader
from service.model import version_folders

log = logging.getLogger("service")

QUIET_MS, LONGEST_MS = 500, 3000
"""A change counts when nothing has followed for the first time, but no later than the second."""
POLL_MS = 2000
"""Time between two looks where the system reports no changes, in milliseconds."""
RETRY_SECONDS = 2.0
"""Time between two looks at a folder that cannot be watched, at each of which the watch is tried again."""


async def follow(root: Path, reloader: Reloader, how: Literal["events", "poll"]) -> None:
    """Scans after every change below `root`, until it is cancelled; every RETRY_SECONDS where it cannot be watched.

    `how`: by the system's events, or by looking every POLL_MS, which also sees changes that another machine makes.
    """
    told = None
    try:
        while True:
            try:
                async with _changes(root, how == "poll") as change:
                    await reloader.scan()  # of what came before the watch began
                    await change
            except Exception as error:  # watchfiles raises errors of its own, alone and in groups
                reason = _reason(error)
                if reason != told:
                    log.error("%s cannot be watched (%s): looking every %g s instead", root, reason, RETRY_SECONDS)
                told = reason
                await asyncio.sleep(RETRY_SECONDS)
            else:
                told = None
    except asyncio.CancelledError:
        raise
    except BaseException:  # such as a panic of watchfiles' Rust part
        log.critical("%s is no longer watched: send SIGHUP after a change, or restart", root, exc_info=True)
        raise


def _reason(error: BaseException) -> str:
    """Returns the text of an error, or of the first one in a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__


@contextlib.asynccontextmanager
async def _changes(root: Path, polling: bool) -> AsyncIterator[asyncio.Future[set[FileChange]]]:
    """Watches inside the block; gives a future that is done after the next change."""
    links = await asyncio.to_thread(links_to, root)
    versions = await asyncio.to_thread(version_folders, root)
    folders = {root, *(version.parent for version in versions), *versions}
    beside = {link.parent for link in links} - folders

    def concerns(change: Change, path: str) -> bool:
        return Path(path).parent not in beside or Path(path) in links

    watching = awatch(
        *folders,
        *beside,
        watch_filter=concerns,
        step=QUIET_MS,
        debounce=LONGEST_MS,
        force_polling=polling,
        poll_delay_ms=POLL_MS,
        recursive=False,
    )
    change = asyncio.ensure_future(anext(watching))
    try:
        await asyncio.sleep(0)  # the watch begins in the first step
        yield change
    finally:
        change.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await change
        await watching.aclose()
