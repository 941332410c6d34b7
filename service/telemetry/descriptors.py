"""Tells the operator when the process has no file descriptor left: the system then refuses connections silently."""

import asyncio
import errno
import logging
import os

log = logging.getLogger("service")

CHECK_SECONDS = 1.0
"""Time between two checks, each of which takes microseconds."""


async def warn_when_exhausted() -> None:
    """Returns when the process has run out of descriptors, once it has logged that."""
    while not _exhausted():  # noqa: ASYNC110 - the system has no event for it
        await asyncio.sleep(CHECK_SECONDS)
    log.error(
        "no file descriptor is left: new connections are closed unanswered, and no file can be opened; raise the limit "
        "(ulimit -n, LimitNOFILE= in a systemd unit, --ulimit nofile= in Docker), or run more replicas"
    )


def _exhausted() -> bool:
    try:
        os.close(os.dup(2))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False
