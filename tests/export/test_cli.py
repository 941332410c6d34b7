import json
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from export import cli
from service.card import MODEL_FILE, read_card
from training.evaluation.candidate import graph_sha256

Run = Callable[..., tuple[object, str, str]]

FID = {"metric": "FID (digit classifier)", "value": 3.5, "protocol": "10,000 digits"}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run(*arguments)`: exit status, stdout and stderr of gan-export."""

    def call(*arguments: str | Path) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["gan-export", *map(str, arguments)])
        status: object = 0
        try:
            cli.main()
        except SystemExit as end:
            status = end.code
        return (status, *capsys.readouterr())

    return call


@pytest.fixture
def refused(run: Run) -> Callable[..., str]:
    """`refused(*arguments)`: what gan-export says when it ends with 2."""

    def call(*arguments: str | Path) -> str:
        status, _, text = run(*arguments)
        assert status == 2
        assert "Traceback" not in text
        return text

    return call


@pytest.fixture
def report(folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """`report(*scores)`: what gan-train evaluate writes about the sampler."""

    def write(*scores: dict[str, object]) -> Path:
        sha256 = graph_sha256(onnx.load(folder / MODEL_FILE))
        content = {"model": "mnist", "graph_sha256": sha256, "scores": scores}
        (tmp_path / "scores.json").write_text(json.dumps(content))
        return tmp_path / "scores.json"

    return write


@pytest.fixture
def folder(gan_checkpoint: Path, run: Run, tmp_path: Path) -> Path:
    """A sampler published by the command."""
    assert run("publish", gan_checkpoint, "--models", tmp_path / "models")[0] == 0
    return tmp_path / "models" / "mnist" / "1"


def test_publish_tells_where(run: Run, gan_checkpoint: Path, tmp_path: Path) -> None:
    status, out, _ = run("publish", gan_checkpoint, "--models", tmp_path, "--version", "7", "--suffix=-wide")
    folder = tmp_path / "mnist-wide" / "7"
    assert status == 0
    assert f"published {folder}\n" in out
    assert read_card(folder).version == "7"


def test_scores_are_attached(run: Run, folder: Path, report: Callable[..., Path]) -> None:
    status, out, _ = run("scores", folder, report(FID))
    assert status == 0
    assert out.strip() == f"{folder}: 1 scores, sha256 {read_card(folder).sha256}"
    assert [score.value for score in read_card(folder).scores] == [3.5]


def test_a_checkpoint_that_is_not_there_is_said(refused: Callable[..., str], tmp_path: Path) -> None:
    assert refused("publish", tmp_path / "no.pt") == f"gan-export: {tmp_path / 'no.pt'} does not exist\n"


def test_an_empty_run_folder_is_said(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "holds no checkpoint" in refused("publish", tmp_path)


def test_an_existing_version_is_said(refused: Callable[..., str], folder: Path, gan_checkpoint: Path) -> None:
    text = refused("publish", gan_checkpoint, "--models", folder.parents[1], "--version", "1")
    assert text.startswith(f"gan-export: {folder} is already published")


@pytest.mark.usefixtures("folder")
def test_a_failed_parity_is_said(
    refused: Callable[..., str], gan_checkpoint: Path, tmp_path: Path, alter: Callable[[int], None]
) -> None:
    alter(1)
    assert "differ by up to" in refused("publish", gan_checkpoint, "--models", tmp_path / "other")


@pytest.mark.parametrize(("option", "value"), [("--suffix", "Wide"), ("--version", "../1"), ("--version", "")])
def test_a_bad_option_is_named(
    refused: Callable[..., str], gan_checkpoint: Path, tmp_path: Path, option: str, value: str
) -> None:
    text = refused("publish", gan_checkpoint, "--models", tmp_path, option, value)
    assert text.startswith(f"gan-export: publish.{option[2:]}: ")
    assert text.endswith(f"(got {value!r})\n")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "Invalid JSON"),
        ("{", "Invalid JSON"),
        ("[]", "no report"),
        ('{"graph_sha256": "a", "scores": [{"value": 1}]}', "scores.0.metric"),
        ('{"graph_sha256": null, "scores": []}', "made of a checkpoint"),
        ('{"graph_sha256": "a", "scores": []}', "another file"),
    ],
)
def test_bad_scores_are_said_and_the_model_stays(
    refused: Callable[..., str], folder: Path, tmp_path: Path, content: str, reason: str
) -> None:
    (tmp_path / "scores.json").write_text(content)
    before = read_card(folder)
    assert reason in refused("scores", folder, tmp_path / "scores.json")
    assert read_card(folder) == before


def test_a_score_that_is_no_number_is_refused(
    refused: Callable[..., str], folder: Path, report: Callable[..., Path]
) -> None:
    assert "finite" in refused("scores", folder, report({**FID, "value": float("nan")}))
    assert read_card(folder).scores == ()


@pytest.mark.parametrize("name", ["scores.json", "mnist"])
def test_a_missing_file_or_folder_is_said(refused: Callable[..., str], tmp_path: Path, name: str) -> None:
    if name == "mnist":
        (tmp_path / "scores.json").write_text('{"graph_sha256": "a", "scores": []}')
    assert name in refused("scores", tmp_path / "mnist", tmp_path / "scores.json")


@pytest.mark.parametrize("arguments", [(), ("bogus",), ("publish",), ("publish", "a", "--bogus"), ("scores", "a")])
def test_wrong_usage_is_said(refused: Callable[..., str], arguments: tuple[str, ...]) -> None:
    assert len(refused(*arguments)) > 20


def test_help_ends_with_0(run: Run) -> None:
    status, out, _ = run("--help")
    assert status == 0
    assert "publish" in out
    assert "scores" in out
