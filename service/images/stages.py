"""How long the codecs work, as metrics and, where traces are made, as spans of the request."""

import time
from typing import Literal

from service.telemetry import tracing
from service.telemetry.metrics import Metrics


def note_codec(metrics: Metrics, stage: Literal["decode", "encode"], format: str, started: float) -> None:
    """Work in `format` that began at `started` (perf_counter) and ends now, in the thread that does it."""
    seconds = time.perf_counter() - started
    metrics.codec_ends(stage, format, seconds)
    tracing.record_stage(stage, seconds, {"gan.format": format})
