from pathlib import Path

import pytest

from gan_client import ClientError
from gan_client.folder import Options, Plan, Shard, record, write_whole

ALL = Shard(0, 1)
OPTIONS = Options("horse2zebra", "horse2zebra/10", None, None, None)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    for name in ("a.jpg", "b.GIF", "below/a.jpg", "below/further/c.webp", ".hidden.jpg", ".git/d.png", "notes.txt"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"image")
    return folder


def test_a_folder_is_copied_in_its_form(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    jobs = {job.source.relative_to(photographs).as_posix(): job for job in Plan([photographs], out, None, ALL)}
    assert {name: (job.target.relative_to(out).as_posix(), job.format) for name, job in jobs.items()} == {
        "a.jpg": ("photographs/a.jpg", "jpeg"),
        "b.GIF": ("photographs/b.GIF.png", "png"),
        "below/a.jpg": ("photographs/below/a.jpg", "jpeg"),
        "below/further/c.webp": ("photographs/below/further/c.webp", "webp"),
    }


def test_files_get_their_own_names(photographs: Path, tmp_path: Path) -> None:
    (job,) = Plan([photographs / "a.jpg"], tmp_path / "out", "png", ALL)
    assert (job.source, job.target) == (photographs / "a.jpg", tmp_path / "out" / "a.jpg.png")


@pytest.mark.parametrize(
    ("inputs", "out", "reason"),
    [
        (["missing.jpg"], "out", "neither a file nor a folder"),
        (["photographs/notes.txt"], "out", "no image by its name"),
        (["photographs/a.jpg", "photographs/below/a.jpg"], "out", "have the same name"),
        (["photographs"], "photographs/out", "is inside"),
        (["photographs"], "photographs", "is inside"),
    ],
)
def test_inputs_that_cannot_work_are_refused(
    photographs: Path, tmp_path: Path, inputs: list[str], out: str, reason: str
) -> None:
    with pytest.raises(ClientError, match=reason):
        Plan([tmp_path / name for name in inputs], tmp_path / out, None, ALL)


def test_shards_share_the_images_among_them(photographs: Path, tmp_path: Path) -> None:
    for n in range(40):
        (photographs / f"{n}.png").write_bytes(b"image")
    shards = [[job.source for job in Plan([photographs], tmp_path / "out", None, Shard(i, 4))] for i in range(4)]
    whole = [job.source for job in Plan([photographs], tmp_path / "out", None, ALL)]
    assert sorted(source for shard in shards for source in shard) == sorted(whole)
    assert all(len(shard) > 4 for shard in shards)  # also of names that differ in a digit


@pytest.mark.parametrize("text", ["", "1", "2/2", "-1/2", "a/b", "0/0"])
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ClientError, match="expected i/n"):
        Shard.parse(text)


def test_a_translation_is_done_when_it_is_whole(photographs: Path, tmp_path: Path) -> None:
    (job,) = Plan([photographs / "a.jpg"], tmp_path / "out", None, ALL)
    assert not job.done
    write_whole(job.target, b"")
    assert not job.done
    write_whole(job.target, b"zebra")
    assert job.done
    assert [path.name for path in job.target.parent.iterdir()] == ["a.jpg"]


def test_a_folder_has_translations_of_one_kind(tmp_path: Path) -> None:
    record(tmp_path, OPTIONS)
    record(tmp_path, OPTIONS)
    with pytest.raises(ClientError, match="choose another folder"):
        record(tmp_path, Options("horse2zebra", "horse2zebra/10", 256, None, None))
