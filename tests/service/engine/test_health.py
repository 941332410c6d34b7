import asyncio

import pytest

from service.engine import health
from service.engine.health import FAILURES_IN_A_ROW, HANG_SECONDS, Health

pytestmark = pytest.mark.anyio


class Model:
    """Fails its probes until it is mended."""

    def __init__(self) -> None:
        self.now, self.works = 0.0, False
        self.probed = asyncio.Semaphore(0)
        """Grows with every probe."""
        self.health = Health(self.probe, lambda: self.now)

    async def probe(self) -> None:
        self.health.note(self.works)
        self.probed.release()
        if not self.works:
            raise RuntimeError

    def fail(self, times: int) -> None:
        for _ in range(times):
            self.health.note(False)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setattr(health, "PROBE_SECONDS", 0.001)
    return Model()


async def test_failures_in_a_row_mark_a_model_and_a_success_between_them_does_not(model: Model) -> None:
    model.fail(FAILURES_IN_A_ROW - 1)
    model.health.note(True)
    model.fail(FAILURES_IN_A_ROW - 1)
    assert model.health.failing_seconds is None
    model.fail(1)
    model.now = 3.0
    assert model.health.failing_seconds == 3.0
    model.health.stop()


async def test_a_run_that_does_not_end_marks_a_model_until_it_does(model: Model) -> None:
    with model.health.running(object()):
        model.now = HANG_SECONDS - 1
        assert model.health.failing_seconds is None
        with model.health.running(object()):
            model.now = HANG_SECONDS + 3
            assert model.health.failing_seconds == 3.0
        model.fail(FAILURES_IN_A_ROW)
        model.now += 2
        assert model.health.failing_seconds == 5.0
    assert model.health.failing_seconds == 2.0
    model.health.note(True)
    assert model.health.failing_seconds is None
    model.health.stop()


async def test_a_broken_model_is_tried_until_it_works_and_then_no_more(model: Model) -> None:
    model.fail(FAILURES_IN_A_ROW)
    for works in (False, False, True):
        model.works = works
        await asyncio.wait_for(model.probed.acquire(), 10)
        assert (model.health.failing_seconds is None) == works
    await asyncio.sleep(0.02)
    assert model.probed.locked()


async def test_a_model_that_works_is_not_tried(model: Model) -> None:
    model.fail(FAILURES_IN_A_ROW - 1)
    await asyncio.sleep(0.02)
    assert model.probed.locked()  # never released


async def test_attempts_end_with_the_service(model: Model) -> None:
    model.fail(FAILURES_IN_A_ROW)
    model.health.stop()
    await asyncio.sleep(0.02)
    assert model.probed.locked()  # never released
