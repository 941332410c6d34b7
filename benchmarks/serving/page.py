"""Writes docs/internals/benchmarks.md and its plot from benchmarks/serving/results/*.json.

Run: python -m benchmarks.serving.page
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.report import ROOT, table
from benchmarks.serving.contenders import LABELS
from benchmarks.serving.goals import Figure, Results, figures, median

RESULTS = Path(__file__).resolve().parent / "results"
PLOT = "benchmarks.png"
SECTIONS = {
    "digit": "One digit a request, {concurrency} connections",
    "digit_alone": "One digit a request, one connection",
    "translation": "Translation of 256x256 JPEGs, {concurrency} connections",
    "translation_alone": "Translation of 256x256 JPEGs, one connection",
    "mixed": "Translation of photographs of mixed sizes and aspects, {concurrency} connections",
    "digits": "1,024 digits a request, {concurrency} connections",
}
SETTINGS = """\
Every peer runs the same two ONNX files with the same codecs in two threads. ONNX Runtime has a thread a core that does
not spin. Batches have up to 64 digits or 16 images, and each model has one worker process. The peers differ in the
rest:

- LitServe: ZeroMQ queue, one HTTP process, batch window 1 ms.
- BentoML: batchable services behind an ASGI front service, adaptive window.
- MLServer: custom handlers in front of its adaptive batcher, no parallel workers, window 1 ms, no gzip.
- Triton: KServe v2 with the encoded bytes in a BYTES tensor, dynamic batcher without delay, Python backend (its ONNX
  Runtime backend is not in the package).

`benchmarks/serving/peers/` holds the requirements and the code of each."""


def page(results: Results) -> str:
    """docs/internals/benchmarks.md."""
    machine = results["machine"]
    quick = any(section.get("quick") for section in results.values())
    lines = [
        "# Benchmarks",
        "",
        f"`benchmarks/serving/page.py` writes this page. The figures are from one run of `make bench` on "
        f"{machine['cores']} shared cores of an",
        f"{machine['model']}, at commit {machine['commit']}, {machine['date']}. The load generator runs on the same "
        "cores; its share is beside each figure.",
        "",
        "Times are in milliseconds. The figures of a contender are medians over its repeats. `server cores` and",
        "`generator cores` are the CPU seconds a second of the server and of the load generator. `not 200` counts",
        "other responses by status.",
        "",
    ]
    if quick:
        lines += ["**A quick run: a smoke test whose figures mean little.**", ""]
    lines += ["## Figures to reach", "", *goals(figures(results)), ""]
    if "sweep" in results:
        lines += [f"![throughput and latency against concurrency](../images/{PLOT})", "", *sweep(results["sweep"])]
    for name, title in SECTIONS.items():
        if name in results:
            lines += [f"## {title.format(**results[name])}", "", *comparison(results[name]), ""]
    if "overload" in results:
        lines += ["## Overload", "", *overload(results["overload"]), ""]
    if "limits" in results:
        lines += ["## ONNX Runtime in a bare loop", "", *limits(results["limits"]), ""]
    if "overhead" in results:
        lines += ["## What a request costs, part by part", "", *overhead(results["overhead"]), ""]
    lines += ["## How the peers are configured", "", SETTINGS, ""]
    return "\n".join(lines)


def goals(reached: list[Figure]) -> list[str]:
    """The table of goals."""
    rows = [
        [f.what, "" if f.value is None else f"{f.value:.2f}", f"{'>=' if f.at_least else '<='} {f.goal:g}", f.verdict]
        for f in reached
    ]
    return table(["what", "measured", "goal", ""], rows)


def _load_cells(one: dict[str, Any]) -> list[str]:
    failed = ", ".join(f"{status}: {count}" for status, count in one["failed"].items()) or "none"
    times = [f"{1000 * one[cut]:.1f}" for cut in ("p50", "p95", "p99")]
    return [f"{one['rate']:,.1f}", *times, f"{one['server_cpu']:.2f}", f"{one['generator_cpu']:.2f}", failed]


LOAD_HEAD = ["requests/s", "p50 ms", "p95 ms", "p99 ms", "server cores", "generator cores", "not 200"]


def sweep(found: dict[str, Any]) -> list[str]:
    """The service at each concurrency."""
    lines = []
    for name, loads in found.items():
        if name != "quick":
            rows = [[concurrency, *_load_cells(one)] for concurrency, one in loads.items()]
            lines += [f"### The service: {name}", "", *table(["connections", *LOAD_HEAD], rows), ""]
    return lines


def comparison(section: dict[str, Any]) -> list[str]:
    """Medians over the repeats, the fastest contender first."""
    rows = []
    measured = section["contenders"]
    for name in sorted(measured, key=lambda name: -median(measured[name], "rate")):
        rounds = measured[name]
        middle: dict[str, Any] = {
            field: median(rounds, field) for field in ("rate", "p50") if all(field in one for one in rounds)
        }
        if name == "bare":
            unit = f"{middle['rate']:,.1f} items/s"
            rows.append([LABELS[name], unit, f"{1000 * middle['p50']:.1f} a batch", "", "", "", "", ""])
            continue
        middle |= {field: median(rounds, field) for field in ("p95", "p99", "server_cpu", "generator_cpu")}
        middle["failed"] = {}
        for one in rounds:
            for status, count in one["failed"].items():
                middle["failed"][status] = middle["failed"].get(status, 0) + count
        rows.append([LABELS[name], *_load_cells(middle)])
    return table(["contender", *LOAD_HEAD], rows)


def overload(found: dict[str, Any]) -> list[str]:
    """Open-loop arrivals at ten times the peak rate."""
    head = (
        f"k6 offers {found['rate']:.0f} translations a second for {found['seconds']:.0f} s, ten times the peak of "
        f"{found['peak']['rate']:.1f} (closed loop, before and after), each with X-Request-Timeout: "
        f"{found['deadline']:g}. 'not sent' counts requests for which k6 had no free connection. "
        f"Afterwards the service {'responds' if found['responds_afterwards'] else 'DOES NOT RESPOND'}."
    )
    load, rounds = found["load"], found["peak"]["rounds"]
    peak_cores = sum(one["server_cpu"] for one in rounds) / len(rounds)
    where = (
        f"CPU time: the server used {load['server_cpu']:.2f} cores ({peak_cores:.2f} at the peak), k6 used "
        f"{load['generator_cpu']:.2f}; a translation took {1000 * load['server_cpu'] / load['rate']:.0f} ms of a core, "
        f"rejected requests included ({1000 * peak_cores / found['peak']['rate']:.0f} ms at the peak)."
    )
    return [head, "", *table(LOAD_HEAD, [_load_cells(load)]), "", where]


def limits(found: dict[str, Any]) -> list[str]:
    """Items a second of the bare loops at each batch size."""
    names = {
        "mnist": "digits, run alone",
        "digits": "1,024 digits: run and PNG",
        "horse2zebra": "256x256 images, run alone",
        "translate": "256x256 images: decode, run, encode",
    }
    rows = [
        [title, batch, f"{one['rate']:,.1f}"] for name, title in names.items() for batch, one in found[name].items()
    ]
    return table(["loop", "batch", "items/s"], rows)


def overhead(found: dict[str, Any]) -> list[str]:
    """Microseconds of each part of a request."""
    kinds = [name for name in found if name != "quick"]
    rows = [[part, *(f"{found[kind][part]:,.0f}" for kind in kinds)] for part in found[kinds[0]]]
    text = "One request at a time in process, without a socket; `benchmarks/serving/overhead.py` explains each part."
    return [text, "", *table(["microseconds", *kinds], rows)]


def draw(found: dict[str, Any], path: Path) -> None:
    """Plots throughput and latency against concurrency."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    kinds = {name: loads for name, loads in found.items() if name != "quick"}
    figure, axes = plt.subplots(2, len(kinds), figsize=(4 * len(kinds), 6), sharex=True)
    for column, (name, loads) in enumerate(kinds.items()):
        at = [int(n) for n in loads]
        rate, times = axes[:, column]
        rate.plot(at, [one["rate"] for one in loads.values()], marker="o")
        rate.set_title(name)
        rate.set_xscale("log", base=2)
        rate.set_ylim(bottom=0)
        for cut in ("p50", "p95", "p99"):
            times.plot(at, [1000 * one[cut] for one in loads.values()], marker=".", label=cut)
        times.set_yscale("log")
        times.set_xlabel("connections")
    axes[0, 0].set_ylabel("requests a second")
    axes[1, 0].set_ylabel("milliseconds")
    axes[1, 0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main() -> None:
    """Reads the results, writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    chosen = parser.parse_args()
    results = {path.stem: json.loads(path.read_text()) for path in chosen.results.glob("*.json")}
    if "sweep" in results:
        draw(results["sweep"], chosen.docs / "images" / PLOT)
    (chosen.docs / "internals" / "benchmarks.md").write_text(page(results))
    print(f"written: {chosen.docs / 'internals' / 'benchmarks.md'}")


if __name__ == "__main__":
    main()
