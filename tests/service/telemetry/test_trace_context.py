import pytest

from service.telemetry.trace_context import trace_id_of

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize("flags", ["00", "01", "ff"])
def test_a_valid_header_names_its_trace(flags: str) -> None:
    assert trace_id_of([f"00-{TRACE}-{PARENT}-{flags}".encode()]) == TRACE


@pytest.mark.parametrize("more", ["", "-", "-what-comes-later"])
def test_a_later_version_may_say_more(more: str) -> None:
    assert trace_id_of([f"01-{TRACE}-{PARENT}-01{more}".encode()]) == TRACE


@pytest.mark.parametrize(
    "header",
    [
        "",
        TRACE,
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}-01-",
        f"ff-{TRACE}-{PARENT}-01",
        f"0-{TRACE}-{PARENT}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE[1:]}-{PARENT}-01",
        f"00-{TRACE}0-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{PARENT}-0g",
        f"00_{TRACE}_{PARENT}_01",
        f" 00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\n",
        f"01-{TRACE}-{PARENT}-01.more",
    ],
)
def test_anything_else_names_none(header: str) -> None:
    assert trace_id_of([header.encode()]) is None


def test_neither_no_header_nor_two_name_a_trace() -> None:
    assert trace_id_of([]) is None
    assert trace_id_of([f"00-{TRACE}-{PARENT}-01".encode()] * 2) is None
