"""Performance goals: ratios computed from the sections of one run, and what each should reach."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

RIVALS = ("litserve", "bentoml", "mlserver")
STATUSES_ALLOWED = {"503", "504", "not sent"}
Results = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """One ratio and its goal."""

    what: str
    value: float | None
    """None when the run has not measured it."""
    goal: float
    at_least: bool

    @property
    def verdict(self) -> str:
        """reached, missed or not measured."""
        if self.value is None:
            return "not measured"
        return "reached" if (self.value >= self.goal) == self.at_least or self.value == self.goal else "missed"


def median(rounds: list[dict[str, Any]], field: str) -> float:
    """Median of a field over the repeats."""
    return statistics.median(float(one[field]) for one in rounds)


def figures(results: Results) -> list[Figure]:
    """All goals with their values; None where the run lacks a section or a contender."""

    def guarded(compute: Callable[[], float]) -> float | None:
        try:
            return compute()
        except (KeyError, ValueError, ZeroDivisionError):  # a section or contender is missing
            return None

    def ratio(section: str, field: str, over: Callable[[dict[str, Any]], float]) -> float | None:
        def compute() -> float:
            measured = results[section]["contenders"]
            return median(measured["service"], field) / over(measured)

        return guarded(compute)

    def of(name: str, field: str) -> Callable[[dict[str, Any]], float]:
        return lambda measured: median(measured[name], field)

    def fastest(measured: dict[str, Any]) -> float:
        return max(median(measured[name], "rate") for name in RIVALS if name in measured)

    def quickest(measured: dict[str, Any]) -> float:
        times = (median(measured[name], "p50") for name in (*RIVALS, "triton") if name in measured)
        return min(time for time in times if time > 0)

    overload = results.get("overload", {})
    return [
        Figure(
            "translation 256 px, saturated: images/s over the bare loop at its best batch",
            ratio("translation", "rate", of("bare", "rate")),
            0.95,
            True,
        ),
        Figure("the same with mixed aspects", ratio("mixed", "rate", of("bare", "rate")), 0.85, True),
        Figure(
            "translation, concurrency 1: p50 over raw run + decode + encode",
            ratio("translation_alone", "p50", of("bare", "p50")),
            1.05,
            False,
        ),
        Figure(
            "1,024 digits a request: digits/s over raw ONNX Runtime + encode",
            guarded(lambda: 1024 * ratio_of(results["digits"]["contenders"])),
            0.90,
            True,
        ),
        Figure(
            "one digit, concurrency 64: requests/s over the bare FastAPI constant route",
            ratio("digit", "rate", of("constant", "rate")),
            0.40,
            True,
        ),
        Figure(
            "one digit, concurrency 64: requests/s over the best of LitServe, BentoML, MLServer",
            ratio("digit", "rate", fastest),
            3.0,
            True,
        ),
        Figure(
            "one digit, concurrency 64: requests/s over Triton (Python backend)",
            ratio("digit", "rate", of("triton", "rate")),
            1.5,
            True,
        ),
        Figure(
            "translation, concurrency 1: p50 over the best of the four",
            ratio("translation_alone", "p50", quickest),
            1.0,
            False,
        ),
        Figure(
            "overload x10: goodput over peak",
            guarded(lambda: overload["load"]["rate"] / overload["peak"]["rate"]),
            0.95,
            True,
        ),
        Figure(
            "overload x10: p99 of accepted requests over the deadline",
            guarded(lambda: overload["load"]["p99"] / overload["deadline"]),
            1.0,
            False,
        ),
        Figure(
            "overload x10: responses other than 200, 503 and 504",
            guarded(lambda: float(strange(overload["load"]["failed"]))),
            0.0,
            False,
        ),
    ]


def ratio_of(measured: dict[str, Any]) -> float:
    """Requests a second of the service over digits a second of the bare loop."""
    return median(measured["service"], "rate") / median(measured["bare"], "rate")


def strange(failed: dict[str, int]) -> int:
    """Number of responses with a status that overload does not explain."""
    return sum(count for status, count in failed.items() if status not in STATUSES_ALLOWED)
