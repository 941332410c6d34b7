"""The application: models loaded, routes mounted, batchers running while it serves."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline

from service.api import mnist, models, openapi, page, problems, status, translate
from service.api.context import State
from service.api.fast_path import FastPath
from service.api.lifecycle import Lifecycle
from service.api.middleware import BodyLimit, CancelWhenGone, RequestContext
from service.images.codec_pool import CodecThreads
from service.registry import Registry
from service.runtime.cores import usable_cores
from service.settings import Settings
from service.telemetry import tracing
from service.telemetry.metrics import Metrics

log = logging.getLogger("service")

STOP_SECONDS = 5.0
"""How long a batch that nobody waits for may go on when the service stops."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Loads every model and builds the application; `settings` default to the environment's.

    With a management port set, /metrics and /healthz/* are left to `service.management`.

    Raises CardError or DeviceError when a model or the device asked for does not work.
    """
    settings = settings or Settings()
    metrics = Metrics()
    registry = Registry(settings, metrics)
    for model in registry.models:
        log.info("serving %s on %s in %s", model.id, model.provider, model.artefact.precision)
        if model.fell_back_to_cpu:
            log.warning("device=auto: %s runs on the CPU, because: %s", model.id, model.fallback_reason)
        elif model.fallback_reason:
            log.warning("%s runs in fp32, because of its half-precision file: %s", model.id, model.fallback_reason)
    codecs = CodecThreads(settings.threads or usable_cores())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        codecs.close()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await registry.stop()
        except TimeoutError:
            log.error("a model still runs %g s after the last request: leaving without it", STOP_SECONDS)
            lifecycle.hung = True

    app = FastAPIOffline(
        title="GAN serving",
        version=version("gan-serving"),
        lifespan=lifespan,
        telemetry=_telemetry(),
        responses=openapi.PROBLEM,
        redoc_url=None,
        static_url="/docs/files",
    )
    lifecycle = Lifecycle()
    app.state.shared, app.state.lifecycle = State(settings, metrics, registry, codecs), lifecycle
    problems.install(app)
    for routes in (page, mnist, translate, models):
        app.include_router(routes.router)
    if settings.management_port is None:
        app.include_router(status.router)
    app.add_middleware(FastPath, routes=[route for routes in (mnist, translate) for route in routes.router.routes])
    all_bytes = settings.queue_size * settings.body_bytes
    app.add_middleware(BodyLimit, limit_bytes=settings.body_bytes, all_bytes=all_bytes)
    app.add_middleware(CancelWhenGone)
    app.add_middleware(RequestContext, metrics=metrics, lifecycle=lifecycle, unmeasured=status.PATHS)
    return app


def _telemetry() -> TelemetryConfig:
    """FastAPI's own span of each request when traces are made, of none that is a probe or a scrape; nothing else."""
    return {
        "tracing": tracing.enabled(),
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
        "exclude": lambda scope: scope["path"] in status.PATHS,
    }
