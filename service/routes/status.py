"""Health and metrics, for machines."""

from fastapi import APIRouter, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from service.state import Shared

router = APIRouter(tags=["status"])


@router.get("/healthz/live")
@router.get("/healthz/ready")
@router.get("/healthz/startup")
async def healthy() -> dict[str, str]:
    """200 once models are loaded and each has answered a first input, which comes before the port opens."""
    return {"status": "ok"}


@router.get("/metrics", response_class=Response)
async def metrics(shared: Shared) -> Response:
    """Prometheus metrics."""
    return Response(generate_latest(shared.metrics.registry), media_type=CONTENT_TYPE_LATEST)
