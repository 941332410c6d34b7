"""Health and metrics, for machines."""

from fastapi import APIRouter, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from service.problems import Problem
from service.state import Shared, State

router = APIRouter(tags=["status"])

LOST_AFTER_SECONDS = 60.0
"""A model that has failed for so long does not come back by itself."""


@router.get("/healthz/live")
@router.get("/healthz/startup")
async def alive(shared: Shared) -> dict[str, str]:
    """200 once models are loaded and each has answered a first input, which comes before the port opens.

    503 when a model has failed again and again for a minute: only a new process will help.
    """
    return _unless_failing(shared, for_seconds=LOST_AFTER_SECONDS)


@router.get("/healthz/ready")
async def ready(shared: Shared) -> dict[str, str]:
    """200 when requests should come here; 503 while a model fails again and again."""
    return _unless_failing(shared, for_seconds=0)


def _unless_failing(state: State, for_seconds: float) -> dict[str, str]:
    failing = [
        model.id
        for model in state.registry.models
        if model.batcher.failing_seconds is not None and model.batcher.failing_seconds >= for_seconds
    ]
    if failing:
        raise Problem(503, "model-failing", f"{', '.join(failing)} fails again and again: the log says why")
    return {"status": "ok"}


@router.get("/metrics", response_class=Response)
async def metrics(shared: Shared) -> Response:
    """Prometheus metrics."""
    return Response(generate_latest(shared.metrics.registry), media_type=CONTENT_TYPE_LATEST)
