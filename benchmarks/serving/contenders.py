"""The servers to compare: how each is started, and its requests for a digit and for a translation."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving import payloads
from benchmarks.serving.load_generators import Work
from benchmarks.serving.servers import Server

HERE = Path(__file__).resolve().parent
PEERS = ("litserve", "bentoml", "mlserver", "triton")
LABELS = {
    "service": "this service",
    "constant": "bare FastAPI, constant image",
    "bare": "bare decode + ONNX Runtime + encode loop",
    "litserve": "LitServe 0.2.19",
    "bentoml": "BentoML 1.4.39",
    "mlserver": "MLServer 1.7.1",
    "triton": "Triton 2.51, Python backend",
}
SIDE = 256
IMAGES = 8


@dataclass(frozen=True)
class Place:
    """Paths, the interpreter and the ports of a run."""

    checkout: Path
    python: str
    peers: Path
    scratch: Path
    """Request bodies and logs."""
    first_port: int

    @property
    def models(self) -> Path:
        """The models that all contenders serve."""
        return self.checkout / "models"


@dataclass(frozen=True)
class Bodies:
    """Files of request bodies."""

    square: tuple[Path, ...]
    mixed: tuple[Path, ...]
    empty: Path
    tensor_square: tuple[Path, ...]
    tensor_empty: Path
    tensor_heads: tuple[int, int]
    """Lengths of the JSON parts of tensor_square and tensor_empty."""


def write_bodies(folder: Path) -> Bodies:
    """Writes the request bodies into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)

    def write(name: str, body: bytes) -> Path:
        path = folder / name
        path.write_bytes(body)
        return path

    square = payloads.crops(((SIDE, SIDE),), IMAGES)
    mixed = payloads.crops(payloads.SIZES, 2 * len(payloads.SIZES))
    # keeps the most common length of the JSON part, which has the size of the tensor as its only number
    tensors = [payloads.tensor(body, "jpeg") for body in square]
    head = max({length for _, length in tensors}, key=[length for _, length in tensors].count)
    digit, digit_head = payloads.tensor(b"0", "png")
    return Bodies(
        square=tuple(write(f"square-{i}.jpg", body) for i, body in enumerate(square)),
        mixed=tuple(write(f"mixed-{i}.jpg", body) for i, body in enumerate(mixed)),
        empty=write("empty", b"0"),
        tensor_square=tuple(write(f"tensor-{i}", t) for i, (t, length) in enumerate(tensors) if length == head),
        tensor_empty=write("tensor-empty", digit),
        tensor_heads=(head, digit_head),
    )


def digit(name: str, bodies: Bodies) -> Work:
    """The request for one digit to contender `name`."""
    if name in ("service", "constant"):
        return Work("/mnist/sample")
    if name == "triton":
        path = "/v2/models/digits/infer"
        return Work(path, "POST", "application/octet-stream", bodies.tensor_heads[1], (bodies.tensor_empty,))
    return Work("/mnist/sample", "POST", "application/octet-stream", None, (bodies.empty,))


def translation(name: str, bodies: Bodies) -> Work:
    """The request for a translation at 256 px to contender `name`."""
    if name == "triton":
        path = "/v2/models/translation/infer"
        return Work(path, "POST", "application/octet-stream", bodies.tensor_heads[0], bodies.tensor_square)
    return Work("/translate/horse2zebra", "POST", "image/jpeg", None, bodies.square)


def server(name: str, place: Place) -> Server:
    """The server of contender `name`, not started yet."""
    log = place.scratch / f"{name}.log"
    environment = {"BENCH_MODELS": str(place.models)}
    if name == "service":
        port = place.first_port
        command = [place.python, "-m", "service", "--port", str(port)]
        return Server(name, command, port, {"PYTHONPATH": str(place.checkout)}, place.checkout, log)
    if name == "constant":
        port = place.first_port + 1
        command = [sys.executable, str(HERE / "constant_app.py"), str(port)]
        return Server(name, command, port, {}, place.scratch, log)
    port = place.first_port + 10 * (1 + PEERS.index(name))
    binaries = place.peers / name / "bin"
    environment["PATH"] = f"{binaries}:{os.environ['PATH']}"
    command = [str(binaries / "python"), str(HERE / "peers" / name / "serve.py"), str(port)]
    if name == "bentoml":
        settings = ["--host", "127.0.0.1", "--port", str(port), "--api-workers", "1"]
        command = [str(binaries / "bentoml"), "serve", "serve:Front", *settings]
        environment |= {"BENTOML_DO_NOT_TRACK": "1", "BENTOML_HOME": str(place.scratch / "bentoml")}
        return Server(name, command, port, environment, HERE / "peers" / name, log)
    if name == "triton":  # its stub process must load this interpreter's library
        library = Path(sys.base_prefix) / "lib"
        environment["LD_LIBRARY_PATH"] = f"{library}:{os.environ.get('LD_LIBRARY_PATH', '')}"
    return Server(name, command, port, environment, place.scratch, log)


def installed(place: Place) -> list[str]:
    """The peers that are installed."""
    return [name for name in PEERS if (place.peers / name / "installed.txt").exists()]


def versions(place: Place) -> dict[str, list[str]]:
    """The pinned requirements of each installed peer."""
    return {name: (place.peers / name / "installed.txt").read_text().split() for name in installed(place)}
