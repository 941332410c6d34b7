import json
from pathlib import Path

from benchmarks.serving.page import draw, page

SAMPLES = Path(__file__).parent / "samples"


def test_a_page_of_a_recorded_quick_run_has_every_section() -> None:
    results = json.loads((SAMPLES / "results.json").read_text())
    text = page(results)
    assert "A quick run" in text
    for heading in ("Figures to reach", "Overload", "ONNX Runtime in a bare loop", "part by part"):
        assert heading in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in rows)
    assert "Triton 2.51, Python backend" in text


def test_the_fastest_contender_comes_first() -> None:
    results = json.loads((SAMPLES / "results.json").read_text())
    section = page(results).partition("## One digit a request, 64 connections")[2].partition("##")[0]
    rates = [float(line.split("|")[2].replace(",", "")) for line in section.splitlines()[4:] if line.startswith("|")]
    assert len(rates) > 2
    assert rates == sorted(rates, reverse=True)


def test_the_plot_is_drawn(tmp_path: Path) -> None:
    results = json.loads((SAMPLES / "results.json").read_text())
    draw(results["sweep"], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000
