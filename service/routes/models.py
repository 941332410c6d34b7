"""GET /models: what is served, where it came from and how good it is."""

from typing import Any

from fastapi import APIRouter, Request

from service.state import state_of

router = APIRouter(tags=["models"])


@router.get("/models")
async def models(request: Request) -> dict[str, list[dict[str, Any]]]:
    """Every model with its card's essentials; `id` is what `model=` takes."""
    registry = state_of(request).registry
    return {
        "models": [
            {
                "id": model.id,
                "name": model.card.name,
                "version": model.card.version,
                "task": model.card.task,
                "direction": model.card.direction,
                "preset": model.card.preset,
                "labels": model.card.label is not None,
                "file": registry.relative_file(model),
                "precision": model.artefact.precision,
                "sha256": model.artefact.sha256,
                "provider": model.provider,
                "fallback_reason": model.fallback_reason,
                "default": registry.is_default(model),
                "trained_images": model.card.training.images,
                "scores": [score.model_dump() for score in model.card.scores],
            }
            for model in registry.models
        ]
    }
