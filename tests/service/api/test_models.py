from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.card import HALF_FILE, MODEL_FILE, Score, Training, sha256_of

pytestmark = pytest.mark.anyio

FID = {"metric": "FID (Inception)", "value": 60.5, "low": 58.0, "high": 63.0, "protocol": "140 test images"}


async def listing(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    response = await client.get("/models")
    assert response.status_code == 200
    return response.json()["models"]


async def test_a_model_is_described_by_its_card(client: httpx.AsyncClient, models: Path) -> None:
    described = {model["id"]: model for model in await listing(client)}
    assert described["horse2zebra/1"] == {
        "id": "horse2zebra/1",
        "name": "horse2zebra",
        "version": "1",
        "task": "translate",
        "direction": "horse2zebra",
        "preset": "compact",
        "labels": False,
        "latent": None,
        "file": "horse2zebra/1/model.onnx",
        "sha256": sha256_of(models / "horse2zebra" / "1" / MODEL_FILE),
        "provider": "CPUExecutionProvider",
        "precision": "fp32",
        "fallback_reason": None,
        "default": True,
        "trained_images": 1234,
        "scores": [],
    }
    assert set(described) == {"mnist/1", "horse2zebra/1", "zebra2horse/1"}


async def test_pairs_of_all_fits_are_counted(
    tmp_path: Path,
    publish: Callable[..., Path],
    make_app: Callable[..., FastAPI],
    serve: Callable[[FastAPI], Awaitable[httpx.AsyncClient]],
) -> None:
    history = ({"images": 30, "config": {}}, {"images": 4, "config": {}})
    fits = Training(images=200, history=history, dataset={}, config={}, git_commit="a" * 40, torch="2.14")
    publish(tmp_path, "mnist", training=fits)
    assert (await listing(await serve(make_app(models=tmp_path))))[0]["trained_images"] == 234


async def test_scores_are_shown(
    tmp_path: Path,
    publish: Callable[..., Path],
    make_app: Callable[..., FastAPI],
    serve: Callable[[FastAPI], Awaitable[httpx.AsyncClient]],
) -> None:
    publish(tmp_path, "mnist", scores=[Score.model_validate(FID).model_dump()])
    assert (await listing(await serve(make_app(models=tmp_path))))[0]["scores"] == [FID]


@pytest.fixture
def defaults(
    tmp_path: Path,
    publish: Callable[..., Path],
    make_app: Callable[..., FastAPI],
    serve: Callable[[FastAPI], Awaitable[httpx.AsyncClient]],
) -> Callable[..., Awaitable[list[str]]]:
    """`await defaults(*ids, **settings)`: which of the models that are published so and served are defaults."""

    async def ask(*ids: str, **settings: str) -> list[str]:
        for name, version in (one.split("/") for one in ids):
            publish(tmp_path, name, version)
        served = await listing(await serve(make_app(models=tmp_path, **settings)))
        assert len(served) == len(ids)
        return [model["id"] for model in served if model["default"]]

    return ask


async def test_one_model_a_task_and_direction_is_the_default(defaults: Callable[..., Awaitable[list[str]]]) -> None:
    digits = "mnist/9", "mnist/10", "mnist-wide/11"
    found = await defaults(*digits, "horse2zebra/1", "horse2zebra-reference/2", "zebra2horse-reference/1")
    assert found == ["horse2zebra/1", "mnist/10", "zebra2horse-reference/1"]


@pytest.mark.usefixtures("seeming_cuda")
async def test_the_reference_translator_is_the_default_where_cuda_runs_it(
    defaults: Callable[..., Awaitable[list[str]]],
) -> None:
    to_zebras = "horse2zebra/3", "horse2zebra-reference/1", "horse2zebra-reference/2", "horse2zebra-wide/9"
    found = await defaults(*to_zebras, "zebra2horse/1", "zebra2horse-wide/9", device="cuda")
    assert found == ["horse2zebra-reference/2", "zebra2horse/1"]


@pytest.mark.usefixtures("seeming_cuda")
async def test_a_half_precision_file_that_runs_is_named_with_its_hash(
    tmp_path: Path,
    publish: Callable[..., Path],
    add_half: Callable[[Path], Path],
    make_app: Callable[..., FastAPI],
    serve: Callable[[FastAPI], Awaitable[httpx.AsyncClient]],
) -> None:
    folder = add_half(publish(tmp_path, "horse2zebra"))
    (model,) = await listing(await serve(make_app(models=tmp_path, device="cuda")))
    assert (model["provider"], model["precision"]) == ("CUDAExecutionProvider", "fp16")
    assert (model["file"], model["sha256"]) == ("horse2zebra/1/model.fp16.onnx", sha256_of(folder / HALF_FILE))


async def test_a_half_precision_file_that_cuda_does_not_run_is_told(
    tmp_path: Path,
    publish: Callable[..., Path],
    add_half: Callable[[Path], Path],
    make_app: Callable[..., FastAPI],
    serve: Callable[[FastAPI], Awaitable[httpx.AsyncClient]],
    seeming_cuda: dict[str, Exception],
) -> None:
    add_half(publish(tmp_path, "horse2zebra"))
    seeming_cuda[HALF_FILE] = RuntimeError("no kernel")
    (model,) = await listing(await serve(make_app(models=tmp_path, device="cuda")))
    assert (model["precision"], model["file"]) == ("fp32", "horse2zebra/1/model.onnx")
    assert model["fallback_reason"] == "model.fp16.onnx: no kernel"
