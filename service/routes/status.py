"""Health and metrics, for machines."""

from fastapi import APIRouter, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from service.problems import Problem
from service.state import Shared

router = APIRouter(tags=["status"])


@router.get("/healthz/live")
@router.get("/healthz/ready")
@router.get("/healthz/startup")
async def healthy(shared: Shared) -> dict[str, str]:
    """200 once models are loaded and each has answered a first input, which comes before the port opens.

    503 when a model fails again and again: traffic should go elsewhere and the process be started anew.
    """
    failing = [model.id for model in shared.registry.models if model.batcher.failing]
    if failing:
        raise Problem(503, "model-failing", f"{', '.join(failing)} fails again and again: restart the service")
    return {"status": "ok"}


@router.get("/metrics", response_class=Response)
async def metrics(shared: Shared) -> Response:
    """Prometheus metrics."""
    return Response(generate_latest(shared.metrics.registry), media_type=CONTENT_TYPE_LATEST)
