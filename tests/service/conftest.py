"""Tiny models made here, applications that serve them, and a gate in front of inference."""

import asyncio
import json
import logging
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from fastapi import FastAPI
from onnx import TensorProto, helper, numpy_helper

from service.api.problems import MEDIA_TYPE
from service.app import create_app
from service.card import (
    CARD_FILE,
    HALF_FILE,
    MODEL_FILE,
    ModelCard,
    Parity,
    SizeRule,
    TensorSpec,
    Training,
    sha256_of,
)
from service.runtime.cpu import CpuSession
from service.runtime.io_binding import HostMemory
from service.runtime.slots import Slot
from service.settings import Settings
from service.telemetry import logs

LATENT = 8
#: What a test waits for at most before it fails.
PATIENCE_S = 30.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("GAN_", "OTEL_")):
            monkeypatch.delenv(name)


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """Whatever the test does to the process's logging ends with it."""
    root, access = logging.getLogger(), logs.access
    handlers, levels = root.handlers, (root.level, access.level)
    root.handlers = []  # configure() closes what it finds, which is pytest's
    yield
    logging.captureWarnings(False)
    root.handlers = handlers
    for logger, level in zip((root, access), levels, strict=True):
        logger.setLevel(level)


def _model(
    nodes: list[onnx.NodeProto], inputs: list[Any], output: Any, constants: dict[str, np.ndarray]
) -> onnx.ModelProto:
    initialisers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, [output], initialisers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def sampler_model() -> onnx.ModelProto:
    """z (N, 8) -> digits: every pixel a component of z, scaled and shifted; the same bits whatever the batch."""
    return _model(
        [
            helper.make_node("Gather", ["z", "component"], ["spread"], axis=1),
            helper.make_node("Mul", ["spread", "gain"], ["scaled"]),
            helper.make_node("Add", ["scaled", "grey"], ["shifted"]),
            helper.make_node("Clip", ["shifted", "black", "white"], ["clipped"]),
            helper.make_node("Cast", ["clipped"], ["flat"], to=TensorProto.UINT8),
            helper.make_node("Reshape", ["flat", "shape"], ["digits"]),
        ],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", LATENT])],
        helper.make_tensor_value_info("digits", TensorProto.UINT8, ["N", 28, 28]),
        {
            "component": np.arange(784) % LATENT,
            "gain": np.linspace(20, 60, 784, dtype=np.float32),
            "grey": np.array(128, np.float32),
            "black": np.array(0, np.float32),
            "white": np.array(255, np.float32),
            "shape": np.array([-1, 28, 28]),
        },
    )


def labelled_sampler_model() -> onnx.ModelProto:
    """z (N, 8), label (N,) -> digits: every pixel is 25 times the label plus ten times the first component of z."""
    return _model(
        [
            helper.make_node("Gather", ["z", "component"], ["spread"], axis=1),
            helper.make_node("Mul", ["spread", "ten"], ["scaled"]),
            helper.make_node("Cast", ["label"], ["real"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["real", "step"], ["level"]),
            helper.make_node("Unsqueeze", ["level", "axis"], ["column"]),
            helper.make_node("Add", ["scaled", "column"], ["shifted"]),
            helper.make_node("Clip", ["shifted", "black", "white"], ["clipped"]),
            helper.make_node("Cast", ["clipped"], ["flat"], to=TensorProto.UINT8),
            helper.make_node("Reshape", ["flat", "shape"], ["digits"]),
        ],
        [
            helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", LATENT]),
            helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]),
        ],
        helper.make_tensor_value_info("digits", TensorProto.UINT8, ["N", 28, 28]),
        {
            "component": np.zeros(784, np.int64),
            "ten": np.array(10, np.float32),
            "step": np.array(25, np.float32),
            "axis": np.array([1]),
            "black": np.array(0, np.float32),
            "white": np.array(255, np.float32),
            "shape": np.array([-1, 28, 28]),
        },
    )


def translator_model(slope: float, offset: float, dtype: type = np.float32) -> onnx.ModelProto:
    """Images x -> slope * x + offset, computed in `dtype`."""
    axes = ["N", "H", "W", 3]
    return _model(
        [
            helper.make_node("Cast", ["image"], ["real"], to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype))),
            helper.make_node("Mul", ["real", "slope"], ["sloped"]),
            helper.make_node("Add", ["sloped", "offset"], ["moved"]),
            helper.make_node("Cast", ["moved"], ["translation"], to=TensorProto.UINT8),
        ],
        [helper.make_tensor_value_info("image", TensorProto.UINT8, axes)],
        helper.make_tensor_value_info("translation", TensorProto.UINT8, axes),
        {"slope": np.array(slope, dtype), "offset": np.array(offset, dtype)},
    )


def _card(name: str, version: str, direction: str | None, **changes: object) -> ModelCard:
    def spec(name: str, type: str, *shape: str | int) -> TensorSpec:
        return TensorSpec.model_validate({"name": name, "type": type, "shape": shape, "range": "all"})

    kinds = {
        False: {
            "task": "sample",
            "latent": LATENT,
            "input": spec("z", "float32", "N", LATENT),
            "output": spec("digits", "uint8", "N", 28, 28),
        },
        True: {
            "task": "translate",
            "direction": direction,
            "preset": "compact",
            "size": SizeRule(multiple=4, minimum=16),
            "input": spec("image", "uint8", "N", "H", "W", 3),
            "output": spec("translation", "uint8", "N", "H", "W", 3),
        },
    }
    common = {
        "name": name,
        "version": version,
        "training": Training(images=1234, dataset={"name": "none"}, config={}, git_commit="a" * 40, torch="2.14"),
        "parity": Parity(max_difference=0, differing_share=0.0, tolerance=1, checked=("1",)),
        "export_git_commit": "b" * 40,
    }
    return ModelCard.model_validate({**common, **kinds[direction is not None], **changes})


@pytest.fixture(scope="session")
def publish() -> Callable[..., Path]:
    """`publish(root, name, version="1", **card)`: horse2zebra* inverts, zebra2horse* copies, else it is a sampler.

    mnist-conditional* is one that takes labels.
    """
    inverter, copier = translator_model(-1, 255), translator_model(1, 0)
    sampler, labelled = sampler_model(), labelled_sampler_model()
    label = TensorSpec(name="label", type="int64", shape=("N",), range="0 to 9")

    def write(root: Path, name: str, version: str = "1", **changes: object) -> Path:
        direction = next((known for known in ("horse2zebra", "zebra2horse") if name.startswith(known)), None)
        folder = root / name / version
        folder.mkdir(parents=True)
        if name.startswith("mnist-conditional"):
            onnx.save(labelled, folder / MODEL_FILE)
            changes = {"label": label, **changes}
        else:
            onnx.save({"horse2zebra": inverter, "zebra2horse": copier, None: sampler}[direction], folder / MODEL_FILE)
        changes = {"sha256": sha256_of(folder / MODEL_FILE), **changes}
        (folder / CARD_FILE).write_text(_card(name, version, direction, **changes).model_dump_json())
        return folder

    return write


@pytest.fixture
def add_half() -> Callable[[Path], Path]:
    """`add_half(folder)`: gives a translation a half-precision file, one grey level darker than an inversion."""

    def add(folder: Path) -> Path:
        onnx.save(translator_model(-1, 254, np.float16), folder / HALF_FILE)
        parity = {"mean_difference": 1, "max_difference": 1, "mean_tolerance": 1, "max_tolerance": 1, "checked": []}
        card = json.loads((folder / CARD_FILE).read_text())
        card["half"] = {"parity": parity, "sha256": sha256_of(folder / HALF_FILE)}
        (folder / CARD_FILE).write_text(json.dumps(card))
        return folder

    return add


@pytest.fixture
def seeming_cuda(monkeypatch: pytest.MonkeyPatch) -> dict[str, Exception]:
    """CUDA sessions are made as on a machine with one GPU, but compute on the CPU.

    Of the files named in what the fixture gives, they raise instead.
    """
    failing: dict[str, Exception] = {}

    def open_session(path: Path, options: dict[str, str]) -> ort.InferenceSession:
        if path.name in failing:
            raise failing[path.name]
        return ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    monkeypatch.setattr("service.runtime.cuda_driver.missing_part", lambda: None)
    monkeypatch.setattr("service.runtime.cuda_driver.device_count", lambda: 1)
    monkeypatch.setattr("service.runtime.cuda_driver.CudaMemory", lambda device_id: HostMemory())
    monkeypatch.setattr("service.runtime.cuda.open_session", open_session)
    return failing


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, publish: Callable[..., Path]) -> Path:
    """A folder with one version of each model."""
    root = tmp_path_factory.mktemp("models")
    for name in ("mnist", "horse2zebra", "zebra2horse"):
        publish(root, name)
    return root


@pytest.fixture
def make_settings(models: Path) -> Callable[..., Settings]:
    """`make_settings(**changes)`: the tiny models on one thread of the CPU."""

    def make(**changes: object) -> Settings:
        return Settings.model_validate(
            {"models": models, "watch_models": "off", "device": "cpu", "threads": 1, **changes}
        )

    return make


@pytest.fixture
def make_app(make_settings: Callable[..., Settings]) -> Callable[..., FastAPI]:
    """`make_app(**settings)`: an application that serves the tiny models."""
    return lambda **changes: create_app(make_settings(**changes))


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[FastAPI], Awaitable[httpx.AsyncClient]]]:
    """`await serve(app)`: a client of the application, which runs until the test ends."""
    async with AsyncExitStack() as stack:

        async def start(app: FastAPI) -> httpx.AsyncClient:
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx.ASGITransport(app)
            return await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://test"))

        yield start


@pytest.fixture
async def client(serve: Callable[..., Awaitable[httpx.AsyncClient]], make_app: Callable[..., FastAPI]) -> Any:
    """A client of an application with usual settings."""
    return await serve(make_app())


@pytest.fixture(autouse=True)
def _nothing_stops_the_loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a gate, every batch runs in a thread: on the event loop it would stop the test as well."""
    if "gate" in request.fixturenames:
        monkeypatch.setattr("service.runtime.cpu.INLINE_SECONDS", 0.0)


class Gate:
    """Every batch stops here until the gate opens."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.shapes: list[tuple[int, ...]] = []
        """Shape of each batch that came to the gate."""
        self.error: Exception | None = None
        """What the model raises behind the gate."""
        self._reached = threading.Event()

    def __call__(self, batch: np.ndarray) -> None:
        self.shapes.append(batch.shape)
        self._reached.set()
        assert self.opened.wait(PATIENCE_S)
        if self.error is not None:
            raise self.error

    async def reached(self) -> None:
        """Waits until a batch is at the gate."""
        assert await asyncio.to_thread(self._reached.wait, PATIENCE_S)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch, serve: object) -> Iterator[Gate]:
    """A gate before every model of the applications made in the test; closed until the test opens it, or ends."""
    gate, run = Gate(), CpuSession.run

    def gated(session: CpuSession, slot: Slot, batch: np.ndarray, alone: bool) -> np.ndarray:
        gate(batch)
        return run(session, slot, batch, alone)

    monkeypatch.setattr(CpuSession, "run", gated)
    yield gate
    gate.opened.set()


@pytest.fixture
def problem_of() -> Callable[..., dict[str, Any]]:
    """`problem_of(response, status, kind)`: the problem document, once it has been found to be well formed."""

    def check(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == MEDIA_TYPE
        problem = response.json()
        assert problem["type"] == f"urn:gan:problem:{kind}"
        assert problem["status"] == status
        assert problem["title"]
        assert problem["request_id"] == response.headers["x-request-id"]
        assert problem["instance"] == f"urn:gan:request:{problem['request_id']}"
        return problem

    return check
