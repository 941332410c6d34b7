"""GET /models: the loaded models, their origin and their scores."""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from service.api.context import context_of
from service.card import Score
from service.model import Model
from service.registry import Registry

router = APIRouter(tags=["models"])


class ModelInfo(BaseModel):
    """A loaded model."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """Value for the query parameter `model`: <name>/<version>."""
    name: str
    """Name, which all versions of the model share."""
    version: str
    """Version."""
    task: Literal["sample", "translate"]
    """What the model does; each task has its route."""
    direction: str | None
    """Direction of a translation, for example horse2zebra."""
    preset: str | None
    """Network of a translation."""
    labels: bool
    """Whether a sampler accepts the query parameter `digit`."""
    latent: int | None
    """Numbers of a sampler's latent vector."""
    file: str
    """Path of the loaded file, relative to the models folder."""
    precision: str
    """Precision of the loaded file: fp32 or fp16."""
    sha256: str | None
    """Hash of the loaded file."""
    provider: str
    """ONNX Runtime's execution provider that runs the model."""
    fallback_reason: str | None
    """Why the model runs on the CPU instead of a GPU, or in fp32 instead of fp16."""
    default: bool
    """Whether the model serves requests that name none."""
    trained_images: int
    """Digits, or pairs of images, seen in training, including the runs whose weights this one started from."""
    scores: list[Score]
    """Scores of the published file."""


class RefusedVersion(BaseModel):
    """A version in the models folder that is not served as it is there."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """<name>/<version>. It may be among the models too: then other files of this version are loaded."""
    reason: str
    """What is wrong with it."""


class ModelList(BaseModel):
    """All loaded models."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    models: list[ModelInfo]
    """The models that serve."""
    refused: list[RefusedVersion]
    """Versions that came while the service ran and do not work."""


@router.get("/models", operation_id="listModels", summary="List the models")
async def models(request: Request) -> ModelList:
    """Lists the loaded models with the essentials of their cards."""
    context = context_of(request)
    registry = context.registry
    return ModelList(
        models=[_info(model, registry) for model in registry.models],
        refused=[RefusedVersion(id=refusal.id, reason=refusal.reason) for refusal in context.reloader.refused],
    )


def _info(model: Model, registry: Registry) -> ModelInfo:
    card = model.card
    return ModelInfo(
        id=model.id,
        name=card.name,
        version=card.version,
        task=card.task,
        direction=card.direction,
        preset=card.preset,
        labels=card.label is not None,
        latent=card.latent,
        file=registry.relative_file(model),
        precision=model.artefact.precision,
        sha256=model.artefact.sha256,
        provider=model.provider,
        fallback_reason=model.fallback_reason,
        default=registry.is_default(model),
        trained_images=card.training.images + sum(run["images"] for run in card.training.history),
        scores=list(card.scores),
    )
