"""Health and metrics, for orchestrators and Prometheus."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict

from service.api import openapi, schemas
from service.api.context import AppContext, context_of
from service.errors import Problem

router = APIRouter(tags=["status"])

PATHS = frozenset({"/healthz/live", "/healthz/ready", "/healthz/startup", "/metrics"})
"""Paths of probes and scrapes."""

LOST_AFTER_SECONDS = 60.0
"""A model that has failed for so long needs a new process."""


class Health(BaseModel):
    """A service that works."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    status: Literal["ok"] = "ok"
    """Always ok: any other state has an error's status."""
    large_images: str | None = None
    """For how long large images are refused; absent while they are served."""


@router.get("/healthz/live", operation_id="checkLive", summary="Check that it runs", response_model_exclude_none=True)
@router.get(
    "/healthz/startup",
    operation_id="checkStartup",
    summary="Check that it has started",
    response_model_exclude_none=True,
)
async def alive(request: Request) -> Health:
    """200 once every model is loaded and has run once, which happens before the port opens.

    503 when a model has been failing or hanging for a minute: the process must be restarted.
    """
    return _unless_failing(context_of(request), for_seconds=LOST_AFTER_SECONDS)


@router.get(
    "/healthz/ready",
    operation_id="checkReady",
    summary="Check that it takes requests",
    response_model_exclude_none=True,
)
async def ready(request: Request) -> Health:
    """200 while the service should get requests; 503 while a model fails or hangs, and after SIGTERM.

    503 too when light images would wait too long for a codec. Heavy images that would are told in the document, with
    200: others are served, and a few large uploads must not take every replica out of service.
    """
    context = context_of(request)
    if context.lifecycle.draining:
        raise Problem(503, "draining", "the service is stopping: it finishes accepted requests and accepts no more")
    timeout, health = context.settings.timeout_seconds, _unless_failing(context, for_seconds=0)
    if context.codecs.light_full_for(timeout) is not None:
        raise Problem(503, "codecs-busy", "too many images wait to be decoded: requests would time out")
    if (seconds := context.codecs.heavy_full_for(timeout)) is not None:
        health.large_images = f"refused for about {seconds} s"
    return health


def _unless_failing(context: AppContext, for_seconds: float) -> Health:
    failing = [
        model.id
        for model in context.registry.models
        if model.batcher.failing_seconds is not None and model.batcher.failing_seconds >= for_seconds
    ]
    if failing:
        raise Problem(503, "model-failing", f"{', '.join(failing)} keeps failing or hangs: see the log")
    return Health()


@router.get(
    "/metrics",
    operation_id="getMetrics",
    summary="Scrape the metrics",
    response_class=Response,
    openapi_extra=openapi.response("Prometheus' text format", {"text/plain": {"schema": schemas.TEXT}}),
)
def metrics(request: Request) -> Response:
    """Returns the metrics in Prometheus' text format. They are collected in a thread, off the event loop."""
    return Response(generate_latest(context_of(request).metrics.registry), media_type=CONTENT_TYPE_LATEST)
