"""Scores and their report."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Score(BaseModel):
    """One figure of quality, with its 95% interval where one was drawn."""

    model_config = ConfigDict(frozen=True)

    metric: str
    """The metric and its feature space: 'FID (Inception)' and 'FD (digit classifier)' are two metrics."""
    value: float
    """Value of the metric."""
    low: float | None = None
    """Lower end of its 95% bootstrap interval."""
    high: float | None = None
    """Upper end of its 95% bootstrap interval."""
    protocol: str
    """How many samples, against what, how prepared."""


class Report(BaseModel):
    """The scores of one generator."""

    model: str
    """Name of the model."""
    graph_sha256: str | None
    """Hash of a published file's graph and weights; absent for a checkpoint."""
    scores: list[Score]
    """In the order of importance."""


def score(metric: str, value: float, protocol: str, interval: tuple[float, float] | None = None) -> Score:
    """A score with or without its interval."""
    low, high = interval or (None, None)
    return Score(metric=metric, value=float(value), low=low, high=high, protocol=protocol)


def write_report(report: Report, folder: Path) -> Path:
    """Writes `folder`/<model>.json and prints the scores."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.model}.json"
    path.write_text(report.model_dump_json(indent=2) + "\n")
    print(f"{report.model}:")
    for s in report.scores:
        interval = "" if s.low is None else f" [{s.low:.3f}, {s.high:.3f}]"
        print(f"  {s.metric}: {s.value:.4f}{interval}  ({s.protocol})")
    return path
