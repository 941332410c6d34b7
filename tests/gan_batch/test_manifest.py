from dataclasses import replace
from pathlib import Path

import pytest

from gan_batch.manifest import Entry, Manifest, Options
from gan_batch.storage import BatchError, Folder

OPTIONS = Options("horse2zebra/10", "ab" * 32, None, "on", None)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(str(tmp_path / "out"))


def test_images_are_done_when_they_are_translated(folder: Folder) -> None:
    manifest = Manifest(folder)
    manifest.add(Entry("a.jpg", "a.jpg"))
    manifest.add(Entry("b.gif", "b.gif.png", "broken-image", "send the whole file"))
    assert Manifest(folder).done() == set()
    manifest.flush()
    assert Manifest(folder).done() == {"a.jpg"}
    later = Manifest(folder)
    later.add(Entry("b.gif", "b.gif.png"))
    later.flush()
    assert Manifest(folder).done() == {"a.jpg", "b.gif"}
    assert [entry.problem for entry in Manifest(folder).entries()] == [None, "broken-image", None]


def test_a_long_run_writes_parts(folder: Folder) -> None:
    manifest = Manifest(folder)
    for n in range(2500):
        manifest.add(Entry(f"{n}.jpg", f"{n}.jpg"))
    assert len(Manifest(folder).done()) >= 2000


def test_a_folder_has_translations_of_one_kind(folder: Folder) -> None:
    Manifest(folder).check(OPTIONS)
    Manifest(folder).check(OPTIONS)
    with pytest.raises(BatchError, match="choose another folder"):
        Manifest(folder).check(replace(OPTIONS, size=256))
