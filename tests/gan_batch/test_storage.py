from pathlib import Path

import pytest

from gan_batch.errors import BatchError
from gan_batch.storage import Folder


@pytest.fixture(params=["local", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "local":
        return str(tmp_path / "folder")
    for name, value in request.getfixturevalue("s3").items():
        monkeypatch.setenv(name, value)
    return "s3://images/storage"


def test_what_is_written_is_read_and_listed(address: str) -> None:
    folder = Folder(address)
    folder.write("a.png", b"first")
    folder.write("below/further/b.png", b"second")
    folder.write("a.png", b"third")
    assert sorted(Folder(address).names()) == ["a.png", "below/further/b.png"]
    assert Folder(address).read("a.png") == b"third"
    assert Folder(address).read("below/further/b.png") == b"second"


def test_a_file_that_is_missing_is_an_error_of_the_system(address: str) -> None:
    with pytest.raises(FileNotFoundError):
        Folder(address).read("missing.png")


@pytest.mark.parametrize("address", ["nobody://knows/this"])
def test_an_unknown_protocol_is_named(address: str) -> None:
    with pytest.raises(BatchError, match="nobody"):
        list(Folder(address).names())
