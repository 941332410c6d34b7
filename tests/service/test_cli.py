import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from service import cli
from service.card import MODEL_FILE
from service.runtime import cuda_driver

Refused = Callable[..., str]

pytestmark = pytest.mark.usefixtures("logging_restored")


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """`refused(*flags)`: runs gan-serve, which must exit with 2; returns what it says."""

    def run(*flags: str) -> str:
        monkeypatch.setattr(sys, "argv", ["gan-serve", *flags])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        assert caught.value.code == 2
        text = capsys.readouterr().err
        assert "Traceback" not in text
        return text

    return run


def test_a_bad_variable_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    monkeypatch.setenv("GAN_PORT", "http")
    text = refused()
    assert text.startswith("gan-serve: GAN_PORT: ")
    assert text.endswith("(got 'http')\n")
    assert text.count("\n") == 1


def test_each_bad_value_has_its_line(monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    monkeypatch.setenv("GAN_DEVICE", "gpu")
    assert [line.split(":")[1].strip() for line in refused("--queue-size", "0").splitlines()] == [
        "GAN_DEVICE",
        "GAN_QUEUE_SIZE",
    ]


def test_a_mistyped_variable_is_named_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refused: Refused
) -> None:
    monkeypatch.setenv("GAN_TIMOUT_SECONDS", "5")
    text = refused("--models", str(tmp_path))
    assert "GAN_TIMOUT_SECONDS is no setting and has no effect: the nearest is GAN_TIMEOUT_SECONDS" in text


def test_an_unknown_flag_is_named(refused: Refused) -> None:
    assert "--bogus" in refused("--bogus")


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".a", "no such host"])
def test_a_host_that_is_none_is_named(host: str, refused: Refused) -> None:
    text = refused("--host", host)
    assert text.startswith(f"gan-serve: GAN_HOST: {host} is not an address ")
    assert text.count("\n") == 1


def test_an_empty_models_folder_is_reported_with_the_cure(tmp_path: Path, refused: Refused) -> None:
    text = refused("--models", str(tmp_path))
    assert text == f"gan-serve: there is no model in {tmp_path}: publish one with gan-export, or set GAN_MODELS\n"


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("::1", False), ("0.0.0.0", True), ("", True)])
def test_a_service_that_everybody_may_use_says_so(tmp_path: Path, refused: Refused, host: str, warned: bool) -> None:
    text = refused("--host", host, "--port", "0", "--models", str(tmp_path))
    assert ("may use the service: set GAN_KEYS, or let only a proxy reach it" in text) is warned


def test_keys_that_cannot_be_read_are_reported(tmp_path: Path, models: Path, refused: Refused) -> None:
    text = refused("--host", "0.0.0.0", "--port", "0", "--models", str(models), "--keys", str(tmp_path / "none"))
    assert text == f"gan-serve: the keys in {tmp_path / 'none'} cannot be read: No such file or directory\n"


def test_a_broken_card_is_reported(tmp_path: Path, publish: Callable[..., Path], refused: Refused) -> None:
    (publish(tmp_path, "mnist") / "card.json").write_text("{}")
    assert "card.json is not a model card" in refused("--models", str(tmp_path))


def test_an_altered_model_is_reported(tmp_path: Path, publish: Callable[..., Path], refused: Refused) -> None:
    (publish(tmp_path, "mnist") / MODEL_FILE).write_bytes(b"altered")
    assert "sha256" in refused("--models", str(tmp_path))


WITHOUT_ROOTS_RIGHTS = "setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root reads all, and nothing stops it")
@pytest.mark.parametrize("secret", ["mnist", "mnist/1", "mnist/1/card.json", "mnist/1/model.onnx"])
def test_an_unreadable_file_is_reported(tmp_path: Path, publish: Callable[..., Path], secret: str) -> None:
    publish(tmp_path, "mnist")
    publish(tmp_path, "horse2zebra")
    mode = (tmp_path / secret).stat().st_mode
    (tmp_path / secret).chmod(0)
    service = sys.executable, "-m", "service", "--port", "0", "--device", "cpu", "--models", str(tmp_path)
    command = [*(WITHOUT_ROOTS_RIGHTS if os.geteuid() == 0 else ()), *service]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    (tmp_path / secret).chmod(mode)
    assert done.returncode == 2
    assert done.stderr.startswith(f"gan-serve: {tmp_path / secret}")
    assert done.stderr.endswith(": Permission denied: let the user that runs the service read it\n")


@pytest.mark.skipif(cuda_driver.missing_part() is None, reason="CUDA works here")
def test_a_missing_gpu_is_reported(models: Path, refused: Refused) -> None:
    text = refused("--models", str(models), "--device", "cuda")
    assert text.startswith("gan-serve: device=cuda, but ")
    assert text.count("\n") == 1


def test_help_exits_with_0(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["gan-serve", "--help"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 0
    assert "--models" in capsys.readouterr().out


def test_the_command_serves_until_sigterm(models: Path) -> None:
    command = [sys.executable, "-m", "service", "--port", "0", "--device", "cpu"]
    environment = {**os.environ, "GAN_MODELS": str(models), "GAN_PORT": "1"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            line = next(line for line in process.stderr if "running on" in line)
            address = next(word for word in line.split() if word.startswith("http://127.0.0.1:"))
            assert httpx.get(f"{address}/healthz/ready", trust_env=False).status_code == 200
            assert httpx.get(f"{address}/mnist/sample", trust_env=False).content.startswith(b"\x89PNG")
            process.send_signal(signal.SIGTERM)
            assert "Finished server process" in process.stderr.read()
            assert process.wait(30) in (0, -signal.SIGTERM)
        finally:
            process.kill()
