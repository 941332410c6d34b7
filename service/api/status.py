"""Health and metrics, for machines."""

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from service.api import openapi
from service.api.context import State, state_of
from service.errors import Problem

router = APIRouter(tags=["status"])

PATHS = frozenset({"/healthz/live", "/healthz/ready", "/healthz/startup", "/metrics"})

LOST_AFTER_SECONDS = 60.0
"""A model that has failed for so long does not come back by itself."""


@router.get("/healthz/live")
@router.get("/healthz/startup")
async def alive(request: Request) -> dict[str, str]:
    """200 once models are loaded and each has answered a first input, which comes before the port opens.

    503 when a model has failed again and again, or a run of it has hung, for a minute: only a new process will help.
    """
    return _unless_failing(state_of(request), for_seconds=LOST_AFTER_SECONDS)


@router.get("/healthz/ready")
async def ready(request: Request) -> dict[str, str]:
    """200 when requests should come here; 503 while a model fails or hangs, and from SIGTERM on."""
    if request.app.state.lifecycle.draining:
        raise Problem(503, "draining", "the service is stopping: what was accepted is finished, nothing more is taken")
    return _unless_failing(state_of(request), for_seconds=0)


def _unless_failing(state: State, for_seconds: float) -> dict[str, str]:
    failing = [
        model.id
        for model in state.registry.models
        if model.batcher.failing_seconds is not None and model.batcher.failing_seconds >= for_seconds
    ]
    if failing:
        raise Problem(503, "model-failing", f"{', '.join(failing)} fails again and again or hangs: the log says why")
    return {"status": "ok"}


@router.get("/metrics", response_class=Response, openapi_extra={"responses": openapi.METRICS})
def metrics(request: Request) -> Response:
    """Prometheus metrics, gathered in a thread: the loop has requests to serve."""
    return Response(generate_latest(state_of(request).metrics.registry), media_type=CONTENT_TYPE_LATEST)
