"""What operators and their machines ask, apart from the public routes."""

from fastapi import FastAPI

from service.api import problems, status
from service.api.lifecycle import Lifecycle
from service.api.middleware import RequestContext


def create_management_app(app: FastAPI) -> FastAPI:
    """/metrics and /healthz/* of `app`, for a port of its own."""
    management = FastAPI(openapi_url=None, telemetry={"tracing": False, "metrics": False, "logs": False})
    management.state.shared, management.state.lifecycle = app.state.shared, app.state.lifecycle
    problems.install(management)
    management.include_router(status.router)
    management.add_middleware(
        RequestContext, metrics=app.state.shared.metrics, lifecycle=Lifecycle(), unmeasured=status.PATHS
    )
    return management
