"""The work that every peer serves: the same two ONNX files with the same codecs, one batch at a time.

Each peer's serve.py adds only what its framework needs. Decoding and encoding run in a pool of one thread a core, as in
the service; a batch of translations is split by shape.
"""

import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime as ort
from PIL import Image

MODELS = Path(os.environ["BENCH_MODELS"])
"""Folder of published models: <name>/<version>/model.onnx."""
CORES = os.cpu_count() or 1
DIGITS_A_BATCH, IMAGES_A_BATCH = 64, 16


def open_session(name: str) -> ort.InferenceSession:
    """A session of a model's newest version on the CPU, with one thread a core that does not spin."""
    newest = max((MODELS / name).glob("*/model.onnx"), key=lambda path: int(path.parent.name))
    options = ort.SessionOptions()
    options.intra_op_num_threads = CORES
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(newest), options, providers=["CPUExecutionProvider"])


class Digits:
    """Samples one digit a request; the content of the request is ignored."""

    def __init__(self) -> None:
        self.session = open_session("mnist")
        self.input = self.session.get_inputs()[0]
        self.random = np.random.default_rng(0)

    def respond(self, count: int) -> list[bytes]:
        """`count` PNG files of 28x28."""
        noise = self.random.standard_normal((count, self.input.shape[1]), dtype=np.float32)
        (digits,) = self.session.run(None, {self.input.name: noise})
        return [_encode(digit, "PNG", compress_level=1) for digit in digits]


class Translator:
    """Translates one image a request: an encoded image in, a JPEG of the same size out."""

    def __init__(self) -> None:
        self.session = open_session("horse2zebra")
        self.input = self.session.get_inputs()[0].name
        self.codecs = ThreadPoolExecutor(CORES)

    def respond(self, bodies: list[bytes]) -> list[bytes]:
        """A JPEG for each body, in order."""
        images = list(self.codecs.map(_decode, bodies))
        translated: dict[int, np.ndarray] = {}
        for shape in {image.shape for image in images}:
            places = [i for i, image in enumerate(images) if image.shape == shape]
            (outputs,) = self.session.run(None, {self.input: np.stack([images[i] for i in places])})
            translated.update(zip(places, outputs, strict=True))
        return list(self.codecs.map(_jpeg, (translated[i] for i in range(len(bodies)))))


def _decode(body: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(body)).convert("RGB"))


def _jpeg(pixels: np.ndarray) -> bytes:
    return _encode(pixels, "JPEG", quality=90)


def _encode(pixels: np.ndarray, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()
