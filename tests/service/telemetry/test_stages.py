import contextvars

import pytest

from service.telemetry import stages


@pytest.mark.parametrize(
    ("decode", "header"),
    [
        (0.0, "queue;dur=1.50, inference;dur=20.00, encode;dur=0.04"),
        (0.003, "decode;dur=3.00, queue;dur=1.50, inference;dur=20.00, encode;dur=0.04"),
    ],
)
def test_stages_are_told_in_milliseconds(decode: float, header: str) -> None:
    spent = stages.Stages()
    spent.decode, spent.queue, spent.inference, spent.encode = decode, 0.0015, 0.02, 0.00004
    assert spent.server_timing() == header


def test_each_request_has_its_own_stages() -> None:
    one, other = contextvars.copy_context(), contextvars.copy_context()
    spent = one.run(stages.begin)
    assert one[stages.current] is spent
    assert other.run(stages.begin) is not spent
    assert stages.current.get() is None
