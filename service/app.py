"""The applications: the public one with its models and routes, and the one of the management port."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware

from service.access.keys import KeyStore
from service.access.limits import RateLimiter
from service.api import models, openapi, page, problems, status
from service.api.context import AppContext, Lifecycle
from service.api.digits import chosen, interpolation, sample
from service.api.middleware import access
from service.api.middleware.access import Access
from service.api.middleware.body_limit import BodyLimit
from service.api.middleware.compression import Compression
from service.api.middleware.disconnect import CancelWhenGone
from service.api.middleware.fast_path import FastPath
from service.api.middleware.request_context import RequestContext
from service.api.middleware.rewriting import HeadAsGet, RootPath
from service.api.translation import route
from service.api.v2 import documented, infer, metadata, repository
from service.images.codec_pool import CodecPool
from service.live import watcher
from service.live.folder import signatures
from service.live.reloader import Reloader
from service.registry import Registry
from service.runtime.cpu import usable_cores
from service.settings import Settings
from service.telemetry import descriptors, tracing
from service.telemetry.metrics import Metrics

log = logging.getLogger("service")

STOP_SECONDS = 5.0
"""Time that running batches get when the service stops and no request needs them any more."""
CODEC_PIXELS = 20_000_000
"""Pixels that each codec thread adds to those that are decoded and encoded at the same time."""
USUAL_BODY_BYTES = 10 * 2**20
"""Bytes that each place in the queue adds to those of all bodies: few photographs have GAN_BODY_BYTES."""
MANAGEMENT_BODY_BYTES = 2**16
"""Largest body on the management port."""
COMPRESSED_BYTES = 4096
"""Text of so many bytes is compressed for clients that ask for it. Images are compressed already."""
FAST = (sample, route, infer)
"""The busiest routes, in the order in which a request is compared with their paths."""
UNMEASURED = status.PATHS | metadata.PROBES
"""Paths whose requests are neither counted nor traced."""
CORS: dict[str, Any] = {
    "allow_methods": ("GET", "HEAD", "POST"),
    "allow_headers": (
        "Authorization",
        "If-None-Match",
        "Inference-Header-Content-Length",
        "Traceparent",
        "X-API-Key",
        "X-Request-Id",
        "X-Request-Timeout",
    ),
    "expose_headers": (
        "Inference-Header-Content-Length",
        "RateLimit",
        "RateLimit-Policy",
        "Retry-After",
        "Server-Timing",
        "X-Model",
        "X-Request-Id",
        "X-Seed",
        "X-Size",
    ),
}
"""What pages of other origins may send and read."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Loads every model and builds the application. `settings` default to the environment's.

    If a management port is set, /metrics and /healthz/* are left to `create_management_app`.

    Raises CardError or DeviceError when a model, or the configured device, does not work. Raises KeyFileError when the
    file of keys does not.
    """
    settings = settings or Settings()
    keys = KeyStore(settings.keys) if settings.keys else None
    metrics = Metrics()
    before = signatures(settings.models)
    registry = Registry(settings, metrics)
    threads = settings.threads or usable_cores()
    codecs = CodecPool(threads, metrics, max(settings.image_pixels, threads * CODEC_PIXELS))
    limiter = RateLimiter(settings.rate_limit) if settings.rate_limit else None
    lifecycle = Lifecycle()
    reloader = Reloader(registry, before, metrics, lifecycle.in_flight)
    context = AppContext(settings, metrics, registry, reloader, codecs, limiter, lifecycle)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(descriptors.warn_when_exhausted())]
        if settings.watch_models != "off":
            tasks.append(asyncio.create_task(watcher.follow(settings.models, reloader, settings.watch_models)))
        yield
        for task in tasks:
            task.cancel()
        codecs.close()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await reloader.stop()
                await registry.stop()
        except TimeoutError:
            log.error("a model still runs %g s after the last request: leaving without it", STOP_SECONDS)
            lifecycle.hung = True

    app = FastAPIOffline(
        title="GAN serving",
        version=version("gan-serving"),
        lifespan=lifespan,
        telemetry=_telemetry(),
        responses=openapi.ERRORS,
        docs_url=None,
        redoc_url=None,
        static_url=page.DOCS_FILES,
        description=openapi.DESCRIPTION,
        license_info=openapi.LICENCE,
        openapi_tags=openapi.TAGS,
        servers=openapi.SERVERS,
        redirect_slashes=False,
    )
    app.state.context = context
    problems.install(app)
    for routes in (page, sample, chosen, interpolation, route, models, infer, metadata):
        app.include_router(routes.router)
    if settings.management_port is None:
        app.include_router(status.router)
    openapi.complete(app.openapi(), documented.SCHEMAS)
    app.add_middleware(Compression, minimum_size=COMPRESSED_BYTES)
    app.add_middleware(FastPath, routes=[route for routes in FAST for route in routes.router.routes])
    app.add_middleware(HeadAsGet)
    if keys or limiter:
        open_paths = {"docs": access.DOCS, "metrics": access.METRICS}
        without_key = [path for name in settings.open_without_key for path in open_paths[name]]
        app.add_middleware(Access, keys=keys, open_paths=without_key, limited=limiter is not None)
    all_bytes = max(settings.queue_size * USUAL_BODY_BYTES, settings.body_bytes)
    app.add_middleware(BodyLimit, limit_bytes=settings.body_bytes, all_bytes=all_bytes)
    app.add_middleware(CancelWhenGone)
    app.add_middleware(RequestContext, metrics=metrics, lifecycle=lifecycle, unmeasured=UNMEASURED)
    if settings.cors_origins:
        app.add_middleware(CORSMiddleware, allow_origins=settings.cors_origins, **CORS)
    if settings.root_path:
        app.add_middleware(RootPath, prefix=settings.root_path)
    return app


def create_management_app(app: FastAPI) -> FastAPI:
    """Builds the application of the management port: /metrics, /healthz/* and /v2/repository/* of `app`."""
    management = FastAPI(
        openapi_url=None, redirect_slashes=False, telemetry={"tracing": False, "metrics": False, "logs": False}
    )
    context: AppContext = app.state.context
    management.state.context = context
    problems.install(management)
    management.include_router(status.router)
    management.include_router(repository.router)
    management.add_middleware(Compression, minimum_size=COMPRESSED_BYTES)
    management.add_middleware(BodyLimit, limit_bytes=MANAGEMENT_BODY_BYTES, all_bytes=64 * MANAGEMENT_BODY_BYTES)
    management.add_middleware(HeadAsGet)
    # a lifecycle of its own, which never drains: probes keep their connections to the end
    management.add_middleware(RequestContext, metrics=context.metrics, lifecycle=Lifecycle(), unmeasured=status.PATHS)
    return management


def _telemetry() -> TelemetryConfig:
    """Configures FastAPI to make a span of each request if tracing is on, except of probes and scrapes."""
    return {
        "tracing": tracing.enabled(),
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
        "exclude": lambda scope: scope["path"] in UNMEASURED,
    }
