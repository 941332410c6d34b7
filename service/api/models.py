"""GET /models: what is served, where it came from and how good it is."""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from service.api.context import state_of
from service.card import Score
from service.registry import Model, Registry

router = APIRouter(tags=["models"])


class Listed(BaseModel):
    """A model, with its card's essentials."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    """What `model=` takes."""
    name: str
    """Its folder: several versions share it."""
    version: str
    """The folder within."""
    task: Literal["sample", "translate"]
    """Which route asks it."""
    direction: str | None
    """Of a translation: what becomes what."""
    preset: str | None
    """Of a translation: which network."""
    labels: bool
    """Of a sampler: whether it writes the digit that is asked for."""
    file: str
    """That runs, in the folder of models."""
    precision: str
    """Of that file: fp32 or fp16."""
    sha256: str | None
    """Of that file."""
    provider: str
    """ONNX Runtime's execution provider that runs it."""
    fallback_reason: str | None
    """Why it runs on the CPU, or in fp32, where better was tried."""
    default: bool
    """Whether requests that name no model go here."""
    trained_images: int
    """Digits or pairs of pictures that it has learnt from, in all fits whose weights it has."""
    scores: list[Score]
    """Of the published file."""


class Listing(BaseModel):
    """Everything that is served."""

    models: list[Listed]


@router.get("/models")
async def models(request: Request) -> Listing:
    """Every model with its card's essentials."""
    registry = state_of(request).registry
    return Listing(models=[_listed(model, registry) for model in registry.models])


def _listed(model: Model, registry: Registry) -> Listed:
    card = model.card
    return Listed(
        id=model.id,
        name=card.name,
        version=card.version,
        task=card.task,
        direction=card.direction,
        preset=card.preset,
        labels=card.label is not None,
        file=registry.relative_file(model),
        precision=model.artefact.precision,
        sha256=model.artefact.sha256,
        provider=model.provider,
        fallback_reason=model.fallback_reason,
        default=registry.is_default(model),
        trained_images=card.training.images + sum(run["images"] for run in card.training.history),
        scores=list(card.scores),
    )
