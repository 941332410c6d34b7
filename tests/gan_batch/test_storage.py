from pathlib import Path

import pytest

from gan_batch.storage import BatchError, Folder


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


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("/a/in", "/a/in", True),
        ("/a/in", "/a/in/", True),
        ("/a/in", "file:///a/in", True),
        ("/a/in/out", "/a/in", True),
        ("/a/in", "/a/./in/b/../out", True),
        ("/a/in", "/a/into", False),
        ("s3://images/in", "s3://images/in/out", True),
        ("s3://images", "s3://images/in", True),
        ("s3://images/in", "s3://images/into", False),
        ("s3://images/in", "/images/in", False),
    ],
)
def test_folders_overlap_when_one_is_in_the_other(one: str, other: str, expected: bool) -> None:
    assert Folder(one).overlaps(Folder(other)) is expected
    assert Folder(other).overlaps(Folder(one)) is expected


def test_folders_overlap_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "in")
    assert Folder(str(tmp_path / "link" / "out")).overlaps(Folder(str(tmp_path / "in")))
