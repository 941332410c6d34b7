"""The protocol's health and metadata: GET /v2, /v2/health/* and /v2/models/{name}."""

import importlib.metadata

from fastapi import APIRouter, Request

from service.api import status
from service.api.context import context_of
from service.api.v2.documented import ERRORS, Name, Version
from service.api.v2.errors import protocol_errors
from service.api.v2.schema import Live, ModelMetadata, ModelReady, Ready, ServerMetadata, TensorMetadata
from service.api.v2.signature import Tensor, signature_of
from service.errors import Problem

router = APIRouter(tags=["v2"], responses=ERRORS)

PROBES = frozenset({"/v2/health/live", "/v2/health/ready"})
"""Paths of probes, which the main port serves whether or not there is a management port: clients use them too."""
EXTENSIONS = ["binary_tensor_data"]
"""Triton's names of the extensions that the service has."""
PLATFORM = "onnxruntime_onnx"
"""Triton's name of ONNX files that ONNX Runtime runs."""


@router.get("/v2", operation_id="getServerMetadata", summary="Name the server")
async def server() -> ServerMetadata:
    """Names the service, its version and its extensions of the protocol."""
    return ServerMetadata(name="gan-serving", version=importlib.metadata.version("gan-serving"), extensions=EXTENSIONS)


@router.get("/v2/health/live", operation_id="checkServerLive", summary="Check that the server runs")
@protocol_errors
async def live(request: Request) -> Live:
    """200 and 503 as /healthz/live."""
    await status.alive(request)
    return Live(live=True)


@router.get("/v2/health/ready", operation_id="checkServerReady", summary="Check that the server takes requests")
@protocol_errors
async def ready(request: Request) -> Ready:
    """200 and 503 as /healthz/ready."""
    await status.ready(request)
    return Ready(ready=True)


@router.get("/v2/models/{name}", operation_id="getModelMetadata", summary="Name a model's tensors")
@protocol_errors
async def model_metadata(request: Request, name: Name) -> ModelMetadata:
    """Names the tensors of a model's newest version."""
    return _metadata(request, name, None)


@router.get(
    "/v2/models/{name}/versions/{version}",
    operation_id="getVersionMetadata",
    summary="Name the tensors of a model's version",
)
@protocol_errors
async def version_metadata(request: Request, name: Name, version: Version) -> ModelMetadata:
    """Names the tensors of one version of a model."""
    return _metadata(request, name, version)


@router.get("/v2/models/{name}/ready", operation_id="checkModelReady", summary="Check that a model works")
@protocol_errors
async def model_ready(request: Request, name: Name) -> ModelReady:
    """200 while the model works; 503 while it fails or hangs, and after SIGTERM; 404 if it is not loaded."""
    return _ready(request, name, None)


@router.get(
    "/v2/models/{name}/versions/{version}/ready",
    operation_id="checkVersionReady",
    summary="Check that a model's version works",
)
@protocol_errors
async def version_ready(request: Request, name: Name, version: Version) -> ModelReady:
    """200 while a version of a model works; 503 while it fails or hangs, and after SIGTERM; 404 if it is not loaded."""
    return _ready(request, name, version)


def _metadata(request: Request, name: str, version: str | None) -> ModelMetadata:
    registry = context_of(request).registry
    model = registry.version(name, version)
    signature = signature_of(model.card)
    return ModelMetadata(
        name=name,
        versions=[known.card.version for known in registry.versions(name)],
        platform=PLATFORM,
        inputs=[_described(tensor) for tensor in signature.inputs],
        outputs=[_described(tensor) for tensor in dict.fromkeys(signature.outputs.values())],
    )


def _ready(request: Request, name: str, version: str | None) -> ModelReady:
    context = context_of(request)
    model = context.registry.version(name, version)
    if context.lifecycle.draining:
        raise Problem(503, "draining", "the service is stopping: it finishes accepted requests and accepts no more")
    if model.batcher.failing_seconds is not None:
        raise Problem(503, "model-failing", f"{model.id} keeps failing or hangs: see the log")
    return ModelReady(name=name, ready=True)


def _described(tensor: Tensor) -> TensorMetadata:
    return TensorMetadata(name=tensor.name, datatype=tensor.datatype, shape=list(tensor.shape))
