import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from pydantic_settings import CliApp, get_subcommand

from training import cli
from training.config.cyclegan import CycleGanConfig

Run = Callable[..., tuple[object, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run(*arguments)`: exit status, stdout and stderr of gan-train."""

    def call(*arguments: str | Path) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["gan-train", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return (end.value.code, *capsys.readouterr())

    return call


@pytest.mark.parametrize("command", [(), ("gan",), ("cyclegan",), ("download",), ("evaluate",)])
def test_help_explains_every_option(run: Run, command: tuple[str, ...]) -> None:
    status, out, _ = run(*command, "--help")
    assert status == 0
    assert len(out) > 400


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("gan", "--rate", "-1"), "--rate"),
        (("gan", "--conditional", "--clusters", "8"), "gan-train: --clusters replaces labels"),
        (("cyclegan", "--crop", "512"), "gan-train: --crop 512 is larger than --resize 286"),
        (("cyclegan", "--pair", "apples"), "gan-train: --pair: the published models are named after it"),
        (("cyclegan", "--pair", "photo2map2020"), "gan-train: --pair: the published models are named after it"),
        (("cyclegan", "--pair", "Summer2winter"), "rename the folder (got 'Summer2winter')"),
        (("gan", "--bogus", "1"), "bogus"),
        (("cyclegan", "--extrapolate", "2"), "extrapolate"),
        (
            ("cyclegan", "--discriminator", "projected", "--weights", "nowhere", "--device", "cpu"),
            "docs/fitting/scores.md says",
        ),
        (("evaluate", "no.onnx"), "no.onnx does not exist"),
    ],
)
def test_a_mistake_is_a_message_and_status_2(run: Run, arguments: tuple[str, ...], said: str) -> None:
    status, _, error = run(*arguments)
    assert status == 2
    assert said in error
    assert "Traceback" not in error


def test_an_option_that_is_given_overrides_a_default_of_projected_discriminators() -> None:
    arguments = ["cyclegan", "--discriminator", "projected", "--rate", "2e-4", "--no-augment"]
    command = get_subcommand(CliApp.run(cli.Train, cli_args=arguments))
    assert isinstance(command, CycleGanConfig)
    assert (command.rate, command.augment) == (2e-4, False)
    assert (command.discriminator_rate, command.adversarial, command.pool) == (4e-4, "hinge", 0)


def test_a_folder_that_cannot_be_written_is_a_message(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    status, _, error = run("download", "--data", tmp_path / "file" / "data")
    assert status == 2
    assert "Not a directory" in error


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A data folder whose pair `warm2cold` has one flat image a part."""
    for part in ("trainA", "trainB", "testA", "testB"):
        folder = tmp_path / "data" / "warm2cold" / part
        folder.mkdir(parents=True)
        Image.new("RGB", (40, 40), (60, 80, 120)).save(folder / "0.png")
    return tmp_path / "data"


def stop_once_saved(out: Path, number: signal.Signals) -> threading.Thread:
    """Sends this process a signal as soon as the run folder holds a checkpoint."""

    def watch() -> None:
        until = time.monotonic() + 120
        while not list(out.glob("checkpoint-*.pt")) and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("length", "reached"), [(("--images", "100000"), ("--images", "1")), (("--minutes", "60"), ("--minutes", "0.0001"))]
)
def test_a_fit_that_is_stopped_says_so_to_whoever_started_it(
    run: Run, images: Path, tmp_path: Path, number: signal.Signals, length: tuple[str, str], reached: tuple[str, str]
) -> None:
    out = tmp_path / "run"
    fit = ("cyclegan", "--data", images, "--pair", "warm2cold", "--out", out, "--device", "cpu", "--threads", "1")
    size = ("--crop", "32", "--resize", "36", "--tick-images", "1")
    stopper = stop_once_saved(out, number)
    status, said, error = run(*fit, *size, *length)
    stopper.join()
    assert (status, "the same command resumes from there" in said) == (cli.STOPPED, True), error
    assert cli.STOPPED not in (0, 1, 2)
    assert run(*fit, *size, *reached)[0] == 0


@pytest.mark.parametrize("package", ["training", "export"])
def test_without_torch_the_command_says_what_to_install(package: str) -> None:
    blocked = (
        "import sys; sys.modules['torch'] = None; sys.argv[1:] = ['--help']; "
        f"from {package}.__main__ import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True)
    assert result.returncode == 2
    assert "torch is not installed: 'make fit', or the extra 'train' of gan-serving, installs" in result.stderr
    assert "Traceback" not in result.stderr
