"""No process of ours connects to anybody, or writes into the user's home folder.

Each command runs in a network namespace of its own, whose counters record every attempt to reach an address.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "models" / "mnist" / "3" / "model.onnx"
SWITCH = "ORT_DISABLE_TELEMETRY"
ISOLATED = """
import fcntl, re, signal, socket, struct, subprocess, sys, urllib.request
up = struct.pack("16sh", b"lo", 0x41)  # IFF_UP and IFF_RUNNING
fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8914, up)  # SIOCSIFFLAGS

def request(address, body=None):
    kind = {"Content-Type": "image/png"} if body else {}
    with urllib.request.urlopen(urllib.request.Request(address, body, kind), timeout=60) as response:
        assert response.status == 200

def serve(image):
    command = [sys.executable, "-m", "service", "--port", "0", "--device", "cpu"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as service:
        address = next(line for line in service.stderr if "service running on" in line).split()[-1]
        request(address + "/mnist/sample?count=1")
        request(address + "/translate/horse2zebra", open(image, "rb").read())
        service.send_signal(signal.SIGTERM)
        service.communicate(timeout=60)
    assert service.returncode == 0

{body}

def counters():
    lines = [line.split() for line in open("/proc/net/snmp")]
    return {(names[0], name): int(value) for names, values in zip(lines[::2], lines[1::2])
             for name, value in zip(names[1:], values[1:])}

found = counters()
print("attempts", found["Ip:", "OutNoRoutes"], found["Udp:", "OutDatagrams"], found["Tcp:", "ActiveOpens"])
"""
SESSION = f"""
import {{package}}
import onnxruntime
onnxruntime.InferenceSession({str(MODEL)!r}, providers=["CPUExecutionProvider"])
"""
UNSHARE = ["unshare", "--net", "--map-root-user"]

pytestmark = pytest.mark.skipif(
    subprocess.run([*UNSHARE, "true"], capture_output=True).returncode != 0,
    reason="the system does not let this user create a network namespace",
)


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """A user's environment with an empty home folder. ONNX Runtime sends nothing where CI is set: it is not here."""
    (tmp_path / "home").mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in {"CI", SWITCH} and name[:4] != "XDG_"}
    return {**kept, "HOME": str(tmp_path / "home"), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def attempts(variables: dict[str, str]) -> Callable[[str], tuple[int, int, int]]:
    """`attempts(script)`: packets without a route, datagrams, and TCP connections of a Python script."""

    def run(script: str) -> tuple[int, int, int]:
        command = [*UNSHARE, sys.executable, "-c", ISOLATED.replace("{body}", script)]
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        unrouted, datagrams, connections = map(int, done.stdout.split("attempts ")[1].split())
        return unrouted, datagrams, connections

    return run


Attempts = Callable[[str], tuple[int, int, int]]


def written(home: Path) -> list[Path]:
    return [path for path in (home / "home").rglob("*") if path.is_file()]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "photograph.png"
    Image.new("RGB", (64, 64), "brown").save(path)
    return path


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("socket.socket().connect_ex(('192.0.2.1', 443))", (1, 0, 0)),
        ("socket.socket(type=socket.SOCK_DGRAM).connect_ex(('192.0.2.1', 53))", (1, 0, 0)),
        ("socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 53))", (0, 1, 0)),
        ("socket.socket().connect_ex(('127.0.0.1', 1))", (0, 0, 1)),
    ],
)
def test_an_attempt_to_reach_somebody_is_seen(attempts: Attempts, script: str, expected: tuple[int, ...]) -> None:
    assert attempts(script) == expected


@pytest.mark.parametrize("package", ["service", "training", "export"])
def test_a_session_calls_nobody_and_writes_nothing(package: str, attempts: Attempts, tmp_path: Path) -> None:
    assert attempts(SESSION.format(package=package)) == (0, 0, 0)
    assert written(tmp_path) == []


def test_the_service_calls_nobody_and_writes_nothing(attempts: Attempts, tmp_path: Path, image: Path) -> None:
    ours = 2  # the requests
    assert attempts(f"serve({str(image)!r})") == (0, 0, ours)
    assert written(tmp_path) == []


def test_a_fit_and_its_export_call_nobody_and_write_nothing(attempts: Attempts, tmp_path: Path, image: Path) -> None:
    for side in "AB":
        for name in ("one.png", "two.png"):
            folder = tmp_path / "data" / "warm2cold" / f"train{side}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(image.read_bytes())
    fit = "cyclegan --pair warm2cold --resize 32 --crop 32 --images 2 --filters 2 --blocks 1 --threads 1"
    script = f"""
run = lambda package, *line: subprocess.run([sys.executable, "-m", package, *line], check=True, stdout=sys.stderr)
run("training", *{fit.split()!r}, "--data", {str(tmp_path / "data")!r}, "--out", {str(tmp_path / "run")!r})
run("export", "publish", {str(tmp_path / "run")!r}, "--models", {str(tmp_path / "models")!r})
"""
    assert attempts(script) == (0, 0, 0)
    assert (tmp_path / "models" / "warm2cold" / "1" / "model.onnx").is_file()
    assert written(tmp_path) == []


@pytest.mark.parametrize("package", ["service", "training", "export"])
def test_the_users_own_choice_wins(package: str, variables: dict[str, str]) -> None:
    script = f"import os, {package}; print(os.environ[{SWITCH!r}])"
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env={**variables, SWITCH: "0"}, capture_output=True, text=True
    )
    assert result.stdout.strip() == "0"
