import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service import cli
from service.access.keys import KeyStore

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """`run(*arguments)`: runs `gan-serve keys` with a file named by GAN_KEYS; returns status, output and messages."""
    monkeypatch.setenv("GAN_KEYS", str(tmp_path / "secrets" / "keys"))

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gan-serve", "keys", *arguments])
        status = 0
        try:
            cli.main()
        except SystemExit as end:
            status = int(end.code or 0)
        said = capsys.readouterr()
        return status, said.out, said.err

    return command


def test_keys_are_made_listed_and_removed(run: Run, tmp_path: Path) -> None:
    status, key, said = run("add", "alice")
    assert (status, "shown only here" in said) == (0, True)
    assert KeyStore(tmp_path / "secrets" / "keys").name_of(key.strip()) == "alice"
    run("add", "bob")
    (alice, _), (bob, bobs_id) = (line.split("\t") for line in run("list")[1].splitlines())
    assert (alice, bob) == ("alice", "bob")
    assert run("remove", "bob", "--id", bobs_id)[0] == 0
    assert [line.split("\t")[0] for line in run("list")[1].splitlines()] == ["alice"]


def test_mistakes_are_explained_in_a_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("add", "a b")[0] == 2
    assert "is no name" in run("add", "a b")[2]
    monkeypatch.delenv("GAN_KEYS")
    status, _, said = run("list")
    assert (status, said) == (2, "gan-serve: there is no file of keys: name it with --keys FILE, or in GAN_KEYS\n")


def test_the_file_can_be_named(run: Run, tmp_path: Path) -> None:
    assert run("add", "alice", "--keys", str(tmp_path / "other"))[0] == 0
    assert (tmp_path / "other").is_file()
