import pytest

from benchmarks.serving.goals import Figure, figures


def rounds(*rates: float, p50: float = 1.0) -> list[dict[str, float]]:
    return [{"rate": rate, "p50": p50} for rate in rates]


def value(results: dict[str, object], start: str) -> float | None:
    (found,) = [figure for figure in figures(results) if figure.what.startswith(start)]
    return found.value


def test_ratios_are_of_medians_and_against_the_best_peer() -> None:
    contenders = {
        "service": rounds(100, 900, 300),
        "constant": rounds(600),
        "litserve": rounds(50),
        "bentoml": rounds(60),
        "triton": rounds(150),
    }
    results = {"digit": {"contenders": contenders}}
    assert value(results, "one digit, concurrency 64: requests/s over the bare") == 0.5
    assert value(results, "one digit, concurrency 64: requests/s over the best") == 5
    assert value(results, "one digit, concurrency 64: requests/s over Triton") == 2


def test_a_latency_is_over_the_quickest_peer() -> None:
    contenders = {"service": rounds(1, p50=0.9), "bare": rounds(1, p50=1.0), "triton": rounds(1, p50=1.8)}
    results = {"translation_alone": {"contenders": contenders}}
    assert value(results, "translation, concurrency 1: p50 over raw") == 0.9
    assert value(results, "translation, concurrency 1: p50 over the best") == 0.5


def test_1024_digits_count_as_so_many() -> None:
    results = {"digits": {"contenders": {"service": rounds(2), "bare": rounds(4096)}}}
    assert value(results, "1,024 digits") == 0.5


def test_overload_excuses_503_and_504_alone() -> None:
    load = {"rate": 9.0, "p99": 4.0, "failed": {"503": 5, "504": 1, "not sent": 7, "500": 2, "socket": 1}}
    results = {"overload": {"load": load, "peak": {"rate": 10.0}, "deadline": 5.0}}
    assert value(results, "overload x10: goodput") == 0.9
    assert value(results, "overload x10: p99") == 0.8
    assert value(results, "overload x10: responses") == 3


def test_what_was_not_measured_is_said_to_be_so() -> None:
    assert {figure.verdict for figure in figures({})} == {"not measured"}


@pytest.mark.parametrize(
    ("measured", "at_least", "verdict"),
    [(1.1, True, "reached"), (0.9, True, "missed"), (1.0, True, "reached"), (1.0, False, "reached"),
     (1.1, False, "missed"), (0.9, False, "reached")],
)  # fmt: skip
def test_a_goal_is_reached_on_its_own_side(measured: float, at_least: bool, verdict: str) -> None:
    assert Figure("x", measured, 1.0, at_least).verdict == verdict
