import asyncio
import contextlib
import logging
import os

import pytest

from service.telemetry import descriptors

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.anyio


async def test_running_out_of_descriptors_is_logged_once_with_the_cure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(descriptors, "CHECK_SECONDS", 0.01)
    task = asyncio.create_task(descriptors.warn_when_exhausted())
    await asyncio.sleep(0.05)
    assert not task.done()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    taken: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, hard))
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(2))
        with caplog.at_level(logging.ERROR, "service"):
            await asyncio.wait_for(task, 30)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)
    (record,) = caplog.records
    assert "no file descriptor is left" in record.getMessage()
    assert "ulimit -n" in record.getMessage()
