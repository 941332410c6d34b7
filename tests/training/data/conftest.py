"""A web server that can misbehave on command, and tiny generated data sets in the forms of the real ones."""

import gzip
import hashlib
import io
import re
import struct
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import MNIST

from training.data import transfer

#: Port 9 of this machine refuses every connection: reaching for the network there fails.
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Asked:
    """One request, and how many bytes of the file were sent for it."""

    path: str
    range: str | None
    if_range: str | None
    sent: int


@dataclass
class FileServer:
    """Serves `files` with ETag, Last-Modified and Range; the other fields say how it misbehaves."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    #: Bytes after which each of the next responses breaks off; None sends the whole.
    breaks: list[int | None] = field(default_factory=list)
    #: Status of each of the next responses, when not the usual.
    statuses: list[int] = field(default_factory=list)
    #: How many of the next responses have a flipped byte.
    damaged: int = 0
    knows_ranges: bool = True
    #: What to send of "ETag" and "Last-Modified".
    versions: tuple[str, ...] = ("ETag", "Last-Modified")
    weak: bool = False
    asked: list[Asked] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return sum(request.sent for request in self.asked)

    def version(self, path: str) -> dict[str, str]:
        digest = hashlib.sha256(self.files[path]).hexdigest()[:16]
        # a date made of the content, so that it changes when that does
        seconds = int(digest, 16) % 60
        known = {
            "ETag": f'W/"{digest}"' if self.weak else f'"{digest}"',
            "Last-Modified": f"Thu, 01 Jan 2026 00:00:{seconds:02d} GMT",
        }
        return {name: known[name] for name in self.versions}


def make_handler(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
            status = server.statuses.pop(0) if server.statuses else 200
            body = server.files.get(self.path)
            if status != 200 or body is None:
                server.asked.append(Asked(self.path, wanted, condition, 0))
                self.send_error(status if status != 200 else 404)
                return
            version = server.version(self.path)
            start = 0
            if wanted and server.knows_ranges and condition in (None, *version.values()):
                start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if start >= len(body):
                server.asked.append(Asked(self.path, wanted, condition, 0))
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.end_headers()
                return
            rest = body[start:]
            if server.damaged:
                server.damaged -= 1
                rest = bytes([rest[0] ^ 255]) + rest[1:]
            end = server.breaks.pop(0) if server.breaks else None
            server.asked.append(Asked(self.path, wanted, condition, len(rest[:end])))
            self.send_response(206 if start else 200)
            for name, value in version.items():
                self.send_header(name, value)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[:end])

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@pytest.fixture(autouse=True)
def direct_and_unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy between the tests and their server, and no waits between tries."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(transfer, "PAUSES_S", (0.0, 0.0))


@pytest.fixture
def nowhere() -> str:
    return NOWHERE


@pytest.fixture
def server() -> Iterator[FileServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as http:
        state = FileServer(f"http://127.0.0.1:{http.server_address[1]}")
        http.RequestHandlerClass = make_handler(state)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        http.shutdown()
        thread.join()


def idx(values: np.ndarray) -> bytes:
    """An array in MNIST's own format."""
    return struct.pack(f">I{values.ndim}I", 0x0800 + values.ndim, *values.shape) + values.tobytes()


@dataclass(frozen=True)
class TinyMnist:
    """20 training and 10 test digits: the arrays and the four archives."""

    images: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    archives: dict[str, bytes]

    def write(self, root: Path) -> Path:
        """Puts the archives where they belong under a data folder; returns that place."""
        raw = root / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for name, content in self.archives.items():
            (raw / name).write_bytes(content)
        return raw


@pytest.fixture
def tiny_mnist(monkeypatch: pytest.MonkeyPatch) -> TinyMnist:
    """Generated digits, whose checksums torchvision takes for MNIST's."""
    random = np.random.default_rng(0)
    images, labels, archives = {}, {}, {}
    for part, count in (("train", 20), ("t10k", 10)):
        images[part] = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        # no two digits alike, so that a test can tell which one it got
        images[part][:, 0, 0] = np.arange(count)
        labels[part] = random.integers(0, 10, count, dtype=np.uint8)
        archives[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(idx(images[part]), mtime=0)
        archives[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(idx(labels[part]), mtime=0)
    md5s = [(name, hashlib.md5(content).hexdigest()) for name, content in archives.items()]
    monkeypatch.setattr(MNIST, "resources", md5s)
    return TinyMnist(images, labels, archives)


@dataclass(frozen=True)
class TinyPair:
    """Three images a folder, as horse2zebra has them, and their hashes."""

    files: dict[str, bytes]

    @property
    def manifest(self) -> dict[str, str]:
        return {name: hashlib.sha256(content).hexdigest() for name, content in self.files.items()}

    def zip(self, leave_out: str = "", **others: bytes) -> bytes:
        return make_zip({f"horse2zebra/{name}": c for name, c in self.files.items() if name != leave_out} | others)

    def write(self, root: Path) -> None:
        for name, content in self.files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)


def make_zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def tiny_pair() -> TinyPair:
    random = np.random.default_rng(0)
    files = {}
    for folder in ("trainA", "trainB", "testA", "testB"):
        for number in range(3):
            buffer = io.BytesIO()
            Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(buffer, "JPEG")
            files[f"{folder}/n{number}.jpg"] = buffer.getvalue()
    return TinyPair(files)


@pytest.fixture
def zip_of() -> Callable[[dict[str, bytes]], bytes]:
    return make_zip
