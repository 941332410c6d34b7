import os
import resource
from pathlib import Path

import pytest

from gan_client import ClientError
from gan_client.folder import Options, Plan, Shard, alone, is_recorded, make_folder, record, write_whole

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
        (["photographs"], ".", "choose another folder"),
        (["photographs/a.jpg"], "photographs", "choose another folder"),
        (["photographs", "photographs"], "out", "is given twice"),
        (["empty"], "out", "there is no image in"),
    ],
)
def test_inputs_that_cannot_work_are_refused(
    photographs: Path, tmp_path: Path, inputs: list[str], out: str, reason: str
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ClientError, match=reason):
        Plan([tmp_path / name for name in inputs], tmp_path / out, None, ALL)


def test_shards_share_the_images_among_them(photographs: Path, tmp_path: Path) -> None:
    for n in range(40):
        (photographs / f"{n}.png").write_bytes(b"image")
    shards = [[job.source for job in Plan([photographs], tmp_path / "out", None, Shard(i, 4))] for i in range(4)]
    whole = [job.source for job in Plan([photographs], tmp_path / "out", None, ALL)]
    assert sorted(source for shard in shards for source in shard) == sorted(whole)
    assert all(len(shard) > 4 for shard in shards)  # also of names that differ in a digit


def test_a_shard_may_have_no_image(photographs: Path, tmp_path: Path) -> None:
    shards = [list(Plan([photographs / "a.jpg"], tmp_path / "out", None, Shard(i, 2))) for i in range(2)]
    assert sorted(map(len, shards)) == [0, 1]


def test_entries_that_cannot_be_told_or_listed_come_with_their_error(photographs: Path, tmp_path: Path) -> None:
    (photographs / "loop.png").symlink_to("loop.png")
    folder = os.open(photographs, os.O_RDONLY)
    for _ in range(20):  # a path that is too long to be listed
        os.mkdir("d" * 250, dir_fd=folder)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    jobs = list(Plan([photographs], tmp_path / "out", None, ALL))
    errors = {job.source.name: job.error for job in jobs if job.error}
    assert set(errors) == {"loop.png", "d" * 250}
    assert len(jobs) == 4 + 2
    assert not any(job.done for job in jobs)


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


def test_a_write_that_fails_names_the_file(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        with pytest.raises(OSError, match=r"zebra\.png"):
            write_whole(tmp_path / "zebra.png", b"zebra")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ClientError, match="choose a folder"):
            make_folder(folder)
        with pytest.raises(ClientError, match="choose a folder"):
            is_recorded(folder, OPTIONS)


def test_a_folder_has_translations_of_one_kind(tmp_path: Path) -> None:
    assert not is_recorded(tmp_path, OPTIONS)
    record(tmp_path, OPTIONS)
    record(tmp_path, OPTIONS)
    assert is_recorded(tmp_path, OPTIONS)
    other = Options("horse2zebra", "horse2zebra/10", 256, None, None)
    for call in (record, is_recorded):
        with pytest.raises(ClientError, match="choose another folder"):
            call(tmp_path, other)


def test_a_second_run_of_a_shard_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with alone(out, Shard(0, 2)):
        with alone(out, Shard(1, 2)):
            pass
        with pytest.raises(ClientError, match="another run is at work"), alone(out, Shard(0, 2)):
            pass
    with alone(out, Shard(0, 2)):
        pass


def test_failures_of_other_shards_do_not_stay(tmp_path: Path) -> None:
    for name in ("failures.jsonl", "failures-0-of-3.jsonl", "failures-1-of-2.jsonl", "failures-mine.jsonl"):
        (tmp_path / name).write_text("{}")
    with alone(tmp_path, Shard(0, 2)):
        assert sorted(path.name for path in tmp_path.glob("*.jsonl")) == [
            "failures-1-of-2.jsonl",
            "failures-mine.jsonl",
        ]
