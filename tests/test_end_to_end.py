"""The whole road in real processes: fit both models for a few steps, export, serve, ask over HTTP."""

import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from PIL import Image, ImageDraw

FIT = ["--device", "cpu", "--threads", "1"]


def run(*command):
    result = subprocess.run([sys.executable, "-m", *map(str, command)], capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def write_digits(root, dice):
    """Unpacked MNIST files with numerals in random places."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, count in (("train", 600), ("t10k", 100)):
        labels = np.arange(count, dtype=np.uint8) % 10
        pictures = np.zeros((count, 28, 28), dtype=np.uint8)
        for picture, label in zip(pictures, labels, strict=True):
            canvas = Image.new("L", (28, 28))
            ImageDraw.Draw(canvas).text(dice.integers(2, 12, 2).tolist(), str(label), fill=255, font_size=16)
            picture[:] = np.asarray(canvas)
        sizes = b"".join(n.to_bytes(4, "big") for n in (count, 28, 28))
        (raw / f"{name}-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + sizes + pictures.tobytes())
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + count.to_bytes(4, "big") + labels.tobytes())


def write_pair(root, dice):
    """A pair of warm and cold noise."""
    for name, colour in (("trainA", 0), ("testA", 0), ("trainB", 2), ("testB", 2)):
        (root / "warm2cold" / name).mkdir(parents=True)
        for i in range(4):
            pixels = dice.integers(0, 256, (80, 90, 3), dtype=np.uint8)
            pixels[..., colour] = 255
            Image.fromarray(pixels).save(root / "warm2cold" / name / f"{i}.png")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("road")
    data, dice = root / "data", np.random.default_rng(0)
    write_digits(data, dice)
    write_pair(data, dice)
    mnist = ["training", "gan", "--data", data, "--cache", root / "cache", "--tick-images", 128, *FIT]
    assert "images       256 / 256" in run(*mnist, "--images", 256, "--out", root / "mnist")
    run(*mnist, "--images", 256, "--out", root / "conditional", "--conditional")
    pair = ["training", "cyclegan", "--data", data, "--out", root / "pair", "--pair", "warm2cold", *FIT]
    assert "cycle_X" in run(*pair, "--images", 4, "--tick-images", 2, "--resize", 72, "--crop", 64)
    for fit in ("mnist", "conditional", "pair"):
        assert (root / fit / "curves.png").exists()
        run("export", "publish", root / fit, "--models", root / "models")
    scores = ["--data", data, "--cache", root / "cache", "--out", root / "scores", "--samples", 200]
    said = run("training", "evaluate", root / "models" / "mnist" / "1" / "model.onnx", *scores)
    assert "FD (digit classifier): " in said
    assert (root / "scores" / "mnist.png").exists()
    run("export", "scores", root / "models" / "mnist" / "1", root / "scores" / "mnist.json")
    assert "digit as asked: " in run("training", "evaluate", root / "conditional", *scores)
    return root / "models"


@pytest.fixture(scope="module")
def server(models):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "GAN_MODELS": str(models), "GAN_PORT": str(port), "GAN_DEVICE": "cpu"}
    process = subprocess.Popen([sys.executable, "-m", "service"], env=environment, stderr=subprocess.PIPE, text=True)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        for _ in range(600):
            assert process.poll() is None, process.stderr.read()
            try:
                client.get("/healthz/ready").raise_for_status()
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield client
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) in (0, -signal.SIGTERM)
    assert "Traceback" not in process.stderr.read()


def test_every_published_model_is_served(server):
    served = server.get("/models").json()["models"]
    assert [m["id"] for m in served] == ["cold2warm/1", "mnist/1", "mnist-conditional/1", "warm2cold/1"]
    assert all(m["default"] and m["provider"] == "CPUExecutionProvider" for m in served)
    assert served[1]["scores"][0]["metric"] == "FD (digit classifier)"


def test_digits_come_over_http(server):
    digits = np.load(io.BytesIO(server.get("/mnist/sample?count=5&seed=3&format=npy").content))
    assert digits.shape == (5, 28, 28)
    assert digits.dtype == np.uint8
    assert digits.std() > 0


def test_the_digit_asked_for_comes_from_the_model_that_takes_labels(server):
    answers = [server.get(f"/mnist/sample?seed=3&format=npy&digit={digit}") for digit in (0, 7)]
    assert {answer.headers["x-model"] for answer in answers} == {"mnist-conditional/1"}
    zero, seven = (np.load(io.BytesIO(answer.content)) for answer in answers)
    assert (zero != seven).any()


@pytest.mark.parametrize("direction", ["warm2cold", "cold2warm"])
def test_a_picture_is_translated_in_its_own_format_and_size(server, direction):
    body = io.BytesIO()
    Image.effect_noise((100, 70), 80).convert("RGB").save(body, "JPEG")
    answer = server.post(f"/translate/{direction}", content=body.getvalue(), headers={"Content-Type": "image/jpeg"})
    assert answer.status_code == 200
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (100, 70))


def test_concurrent_requests_share_batches_and_change_nothing(server):
    def ask(seed):
        return server.get(f"/mnist/sample?seed={seed}&format=npy").content

    alone = [ask(seed) for seed in range(64)]
    with ThreadPoolExecutor(32) as pool:
        together = list(pool.map(ask, range(64)))
    differences = [
        np.abs(np.load(io.BytesIO(a)).astype(int) - np.load(io.BytesIO(b)).astype(int)).max()
        for a, b in zip(alone, together, strict=True)
    ]
    assert max(differences) <= 1
    metrics = server.get("/metrics").text
    ones = float(re.search(r'gan_batch_items_bucket\{le="1.0",model="mnist/1"\} (\S+)', metrics)[1])
    batches = float(re.search(r'gan_batch_items_count\{model="mnist/1"\} (\S+)', metrics)[1])
    assert batches > ones
