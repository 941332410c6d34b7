"""Triton's and KServe's own clients, unchanged, against a running service with the bundled models."""

import hashlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from PIL import Image
from tritonclient.utils import InferenceServerException

from service.settings import BUNDLED_MODELS

DOCUMENT = Path(__file__).parents[4] / "docs" / "calling" / "v2.md"
KSERVE = Path(__file__).parents[4] / "build" / "kserve" / "bin" / "python"
CONNECTIONS = 64


@pytest.fixture(scope="module")
def server() -> Iterator[httpx.Client]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GAN_", "OTEL_"))}
    environment |= {"GAN_MODELS": str(BUNDLED_MODELS), "GAN_PORT": str(port), "GAN_DEVICE": "cpu"}
    process = subprocess.Popen([sys.executable, "-m", "service"], env=environment, stderr=subprocess.PIPE, text=True)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        for _ in range(600):
            assert process.poll() is None, process.stderr.read()
            try:
                client.get("/v2/health/ready").raise_for_status()
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield client
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) in (0, -signal.SIGTERM)
    assert "Traceback" not in process.stderr.read()


@pytest.fixture
def client(server: httpx.Client) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(
        f"{server.base_url.host}:{server.base_url.port}", concurrency=CONNECTIONS, network_timeout=60
    ) as client:
        yield client


@pytest.fixture(scope="module")
def photograph() -> bytes:
    body = io.BytesIO()
    Image.effect_noise((300, 200), 80).convert("RGB").save(body, "JPEG")
    return body.getvalue()


@pytest.fixture
def run_documented(server: httpx.Client, photograph: bytes, tmp_path: Path) -> Callable[..., Path]:
    """`run_documented(command, text)`: runs text of docs/calling/v2.md beside horse.jpg; returns their folder."""

    def run(command: list[object], text: str) -> Path:
        (tmp_path / "horse.jpg").write_bytes(photograph)
        address = f"{server.base_url.host}:{server.base_url.port}"
        text = text.replace("127.0.0.1:8000", address)
        result = subprocess.run([*command, text], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr
        assert "error" not in result.stdout
        return tmp_path

    return run


def tensor(name: str, datatype: str, values: np.ndarray, binary: bool = True) -> triton.InferInput:
    tensor = triton.InferInput(name, list(values.shape), datatype)
    tensor.set_data_from_numpy(values, binary_data=binary)
    return tensor


def digits_of(server: httpx.Client, **parameters: object) -> np.ndarray:
    response = server.get("/mnist/sample", params={"format": "npy", **parameters})
    return np.load(io.BytesIO(response.raise_for_status().content))


def test_triton_sees_a_live_server_and_its_models(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    for name in ("mnist", "mnist-conditional", "horse2zebra", "zebra2horse"):
        metadata = client.get_model_metadata(name)
        assert client.is_model_ready(name)
        assert client.is_model_ready(name, metadata["versions"][-1])
    assert not client.is_model_ready("cat2dog")
    assert not client.is_model_ready("mnist", "999")


@pytest.mark.parametrize("binary_input", [True, False])
@pytest.mark.parametrize("binary_output", [True, False])
def test_triton_gets_the_digits_of_seeds(
    client: triton.InferenceServerClient, server: httpx.Client, binary_input: bool, binary_output: bool
) -> None:
    seeds = np.array([2**64 - 2, 2**64 - 1, 0], np.uint64)
    outputs = [triton.InferRequestedOutput("digits", binary_data=binary_output)]
    result = client.infer("mnist", [tensor("seed", "UINT64", seeds, binary_input)], outputs=outputs, request_id="mine")
    assert (result.as_numpy("digits") == digits_of(server, seed=2**64 - 2, count=3)).all()
    assert (result.get_response()["id"], result.get_response()["model_name"]) == ("mine", "mnist")


def test_triton_gets_digits_of_latent_vectors_and_labels(
    client: triton.InferenceServerClient, server: httpx.Client
) -> None:
    z = np.random.default_rng(0).standard_normal((5, 64), np.float32)
    assert client.infer("mnist", [tensor("z", "FP32", z)]).as_numpy("digits").shape == (5, 28, 28)
    inputs = [tensor("seed", "UINT64", np.array([3], np.uint64)), tensor("label", "INT64", np.array([7]))]
    digits = client.infer("mnist-conditional", inputs).as_numpy("digits")
    assert (digits == digits_of(server, seed=3, digit=7)).all()


def test_triton_translates_pixels(client: triton.InferenceServerClient) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
    result = client.infer("horse2zebra", [tensor("image", "UINT8", images)]).as_numpy("translation")
    alone = client.infer("horse2zebra", [tensor("image", "UINT8", images[1:])]).as_numpy("translation")
    assert result.shape == images.shape
    assert np.abs(result[1:].astype(int) - alone).max() <= 1


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_triton_translates_files_as_the_route_of_uploads_does(
    client: triton.InferenceServerClient, server: httpx.Client, photograph: bytes, format: str
) -> None:
    files = tensor("image_file", "BYTES", np.array([photograph, photograph], object))
    result = client.infer("horse2zebra", [files], parameters={"format": format, "size": 64})
    upload = {"content": photograph, "headers": {"Content-Type": "image/jpeg"}}
    expected = server.post("/translate/horse2zebra", params={"format": format, "size": "64"}, **upload)
    assert result.as_numpy("translation_file").tolist() == [expected.content] * 2


def test_triton_shows_what_is_wrong(client: triton.InferenceServerClient) -> None:
    seeds = tensor("seed", "UINT64", np.array([1], np.uint64))
    with pytest.raises(InferenceServerException, match="the models are: horse2zebra, mnist") as caught:
        client.infer("cat2dog", [seeds])
    assert caught.value.status() == "404"
    with pytest.raises(InferenceServerException, match="x-request-timeout") as caught:
        client.infer("mnist", [seeds], headers={"X-Request-Timeout": "soon"})
    assert caught.value.status() == "422"


def test_concurrent_requests_of_triton_and_of_the_old_route_share_batches(
    client: triton.InferenceServerClient, server: httpx.Client
) -> None:
    expected = digits_of(server, seed=0, count=CONNECTIONS)

    def ask(seed: int) -> triton.InferAsyncRequest:
        return client.async_infer("mnist", [tensor("seed", "UINT64", np.array([seed], np.uint64))])

    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            others = [pool.submit(digits_of, server, seed=seed) for seed in range(8)]
            asked = [ask(seed) for seed in range(CONNECTIONS)]
            digits = np.concatenate([request.get_result().as_numpy("digits") for request in asked])
            assert np.abs(digits.astype(int) - expected).max() <= 1
            assert all(np.abs(other.result().astype(int) - expected[i]).max() <= 1 for i, other in enumerate(others))
    metrics = server.get("/metrics").text
    (model,) = re.findall(r'gan_model_info{model="(mnist/\d+)"', metrics)
    batches, items = (
        float(re.search(rf'gan_batch_items_{kind}{{model="{model}"}} (\S+)', metrics)[1]) for kind in ("count", "sum")
    )
    assert batches < items
    assert 'gan_requests_total{outcome="ok",route="/v2/models/{name}/infer"}' in metrics


def test_kserves_client_gets_what_the_old_routes_give(server: httpx.Client, photograph: bytes, tmp_path: Path) -> None:
    if not KSERVE.exists():
        pytest.skip("KServe's client is not installed: make kserve")
    (tmp_path / "horse.jpg").write_bytes(photograph)
    command = [KSERVE, Path(__file__).with_name("kserve_client.py"), str(server.base_url), tmp_path / "horse.jpg"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    got = json.loads(result.stdout)
    assert [got[name] for name in ("live", "ready", "model_ready")] == [True] * 3
    digits = np.concatenate([digits_of(server, seed=7, count=2), digits_of(server, seed=2**64 - 1)])
    expected = {"shape": [3, 28, 28], "type": "uint8", "sha256": hashlib.sha256(digits.tobytes()).hexdigest()}
    assert got["digits in JSON"] == got["digits in binary form"] == expected
    upload = {"content": photograph, "headers": {"Content-Type": "image/jpeg"}}
    translated = server.post("/translate/horse2zebra?format=png", **upload).content
    assert got["translation"] == hashlib.sha256(translated).hexdigest()
    assert got["error"].startswith("there is no model 'cat2dog'; the models are: horse2zebra")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_documented_commands_of_curl_run(run_documented: Callable[..., Path]) -> None:
    (commands,) = re.findall(r"## With curl\n\n((?:(?:    .*)?\n)+)", DOCUMENT.read_text())
    folder = run_documented(["bash", "-euo", "pipefail", "-c"], textwrap.dedent(commands))
    with Image.open(folder / "zebra.png") as image:
        assert (image.format, image.size) == ("PNG", (300, 200))


@pytest.mark.parametrize(("client", "python"), [("Triton", Path(sys.executable)), ("KServe", KSERVE)])
def test_the_documented_programs_run(run_documented: Callable[..., Path], client: str, python: Path) -> None:
    if not python.exists():
        pytest.skip("KServe's client is not installed: make kserve")
    (program,) = re.findall(rf"## With {client}'s client\n.*?```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    run_documented([python, "-c"], program + "\nassert digits.shape == (2, 28, 28)\n")
