import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from service.card import CARD_FILE, MODEL_FILE, CardError
from service.live.folder import links_to, signature_of, signatures

Publish = Callable[..., Path]


def test_every_version_has_a_signature(tmp_path: Path, publish: Publish) -> None:
    folders = [publish(tmp_path, "mnist", version) for version in ("1", "2")]
    (tmp_path / ".hidden" / "1").mkdir(parents=True)
    assert sorted(signatures(tmp_path)) == folders


def test_a_signature_changes_with_content_of_the_same_size_and_time(tmp_path: Path, publish: Publish) -> None:
    """As a copy in place that keeps the times leaves it."""
    folder = publish(tmp_path, "mnist")
    before, stat = signature_of(folder), (folder / MODEL_FILE).stat()
    time.sleep(0.02)  # some file systems have times in steps of 10 ms
    with (folder / MODEL_FILE).open("r+b") as file:
        file.write(b"\0")
    os.utime(folder / MODEL_FILE, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert signature_of(folder) != before


@pytest.mark.parametrize("file", [CARD_FILE, MODEL_FILE])
def test_a_signature_changes_with_each_file(tmp_path: Path, publish: Publish, file: str) -> None:
    folder = publish(tmp_path, "mnist")
    before = signature_of(folder)
    assert signature_of(folder) == before
    os.utime(folder / file, ns=(1, 1))
    touched = signature_of(folder)
    (folder / file).unlink()
    assert len({before, touched, signature_of(folder)}) == 3


def test_a_signature_follows_links(tmp_path: Path, publish: Publish) -> None:
    """As Kubernetes swaps a volume's `..data`."""
    for release in ("a", "b"):
        publish(tmp_path / release, "mnist")
    (tmp_path / "data").symlink_to("a")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mnist").symlink_to("../data/mnist")
    (before,) = signatures(tmp_path / "models").values()
    (tmp_path / "new").symlink_to("b")
    (tmp_path / "new").rename(tmp_path / "data")
    (after,) = signatures(tmp_path / "models").values()
    assert before != after


def test_a_missing_root_has_no_versions_and_an_unreadable_one_is_an_error(tmp_path: Path) -> None:
    assert signatures(tmp_path / "nowhere") == {}
    (tmp_path / "mnist").symlink_to("mnist")
    (tmp_path / "horse").mkdir()
    assert signatures(tmp_path) == {}
    with pytest.raises(CardError, match="name too long"):
        signatures(tmp_path / ("x" * 300))


def test_an_unreadable_version_has_a_signature_that_changes_when_it_is_mended(tmp_path: Path) -> None:
    folder = tmp_path / "mnist" / "1"
    folder.mkdir(parents=True)
    (folder / CARD_FILE).symlink_to(CARD_FILE)
    unreadable = signatures(tmp_path)
    (folder / CARD_FILE).unlink()
    assert list(unreadable) == [folder]
    assert signatures(tmp_path) != unreadable


def test_the_links_on_the_way_are_found(tmp_path: Path) -> None:
    (tmp_path / "releases" / "1" / "models").mkdir(parents=True)
    (tmp_path / "current").symlink_to("releases/1")
    (tmp_path / "models").symlink_to(tmp_path / "current" / "models")
    assert links_to(tmp_path / "models") == [tmp_path / "models", tmp_path / "current"]
    assert links_to(tmp_path / "releases") == []


def test_links_that_lead_in_a_circle_are_not_followed_for_ever(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert set(links_to(tmp_path / "a")) == {tmp_path / "a", tmp_path / "b"}
