"""No process of ours writes into the user's home folder, which is where ONNX Runtime's telemetry begins."""

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "models" / "mnist" / "3" / "model.onnx"
SESSION = f"""
import {{package}}
import onnxruntime
onnxruntime.InferenceSession({str(MODEL)!r}, providers=["CPUExecutionProvider"])
"""
SWITCH = "ORT_DISABLE_TELEMETRY"


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """A user's environment with an empty home folder. ONNX Runtime sends nothing where CI is set: it is not here."""
    kept = {name: value for name, value in os.environ.items() if name not in {"CI", SWITCH, "XDG_CACHE_HOME"}}
    return {**kept, "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}


def written(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file()]


@pytest.mark.parametrize("package", ["service", "training", "export"])
def test_a_session_writes_nothing_into_the_home_folder(package: str, tmp_path: Path, variables: dict[str, str]) -> None:
    script = SESSION.format(package=package)
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=variables, check=True, timeout=120)
    assert written(tmp_path) == []


def test_the_service_writes_nothing_into_the_home_folder(tmp_path: Path, variables: dict[str, str]) -> None:
    command = [sys.executable, "-m", "service", "--port", "0", "--device", "cpu"]
    with subprocess.Popen(command, cwd=ROOT, env=variables, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "service running on" in line)
        address = line.split()[-1]
        with urllib.request.urlopen(f"{address}/mnist/sample?count=1", timeout=60) as response:
            assert response.status == 200
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert written(tmp_path) == []


@pytest.mark.parametrize("package", ["service", "training", "export"])
def test_the_users_own_choice_wins(package: str, variables: dict[str, str]) -> None:
    script = f"import os, {package}; print(os.environ[{SWITCH!r}])"
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env={**variables, SWITCH: "0"}, capture_output=True, text=True
    )
    assert result.stdout.strip() == "0"
