"""The command on a Ray cluster of separate processes, with local folders and with S3."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from gan_batch import cli
from gan_batch.manifest import Manifest
from gan_batch.storage import Folder

from .conftest import PATIENCE_S, ROOT, kill

Batch = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def photographs(tmp_path: Path, noise: Callable[..., Image.Image]) -> Path:
    folder = tmp_path / "photographs"
    (folder / "below").mkdir(parents=True)
    for n in range(6):
        noise(64 + n, 64).save(folder / ("below" if n % 2 else ".") / f"{n}.png")
    (folder / "notes.txt").write_text("no image")
    return folder


def ends(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=2 * PATIENCE_S)
    assert "Traceback" not in said
    assert "WARNING" not in said  # of Ray, for those who run it
    return process.returncode, said.strip().splitlines()[-1]


def test_a_folder_is_translated_and_a_failed_image_tried_again(batch: Batch, photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "zebras"
    (photographs / "broken.png").write_bytes(b"no image")
    status, said = ends(batch(photographs, out))
    assert (status, said.startswith("6 translated, 0 were there already, 1 failed: see ")) == (1, True)
    (line,) = (out / "failures.jsonl").read_text().splitlines()
    assert json.loads(line)["image"] == "broken.png"
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png")) == [
        "0.png", "2.png", "4.png", "below/1.png", "below/3.png", "below/5.png",
    ]  # fmt: skip
    Image.new("RGB", (64, 64)).save(photographs / "broken.png")
    assert ends(batch(photographs, out)) == (0, "1 translated, 6 were there already, 0 failed")
    assert (out / "failures.jsonl").read_text() == ""
    status, said = ends(batch(photographs, out, "--size", "64"))
    assert (status, "choose another folder" in said) == (2, True)


def test_images_come_from_s3_and_go_there(
    batch: Batch, photographs: Path, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    source = Folder("s3://images/photographs")
    for path in photographs.rglob("*.*"):
        source.write(path.relative_to(photographs).as_posix(), path.read_bytes())
    command = ("s3://images/photographs", "s3://images/zebras", "--size", "64")
    assert ends(batch(*command)) == (0, "6 translated, 0 were there already, 0 failed")
    assert ends(batch(*command)) == (0, "0 translated, 6 were there already, 0 failed")
    assert sorted(name for name in Folder("s3://images/zebras").names() if name.endswith(".png")) == [
        "0.png", "2.png", "4.png", "below/1.png", "below/3.png", "below/5.png",
    ]  # fmt: skip


def test_every_image_is_translated_once_though_a_node_is_lost(
    batch: Batch, add_node: Callable, tmp_path: Path, noise: Callable[..., Image.Image]
) -> None:
    source, out, number = tmp_path / "photographs", tmp_path / "zebras", 240
    source.mkdir()
    noise(256, 256).save(source / "0.png")
    for n in range(1, number):
        (source / f"{n}.png").write_bytes((source / "0.png").read_bytes())
    with add_node() as second:
        process = batch(source, out)
        until = time.monotonic() + 2 * PATIENCE_S
        while len(list(out.glob("*.png"))) < number / 2:
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.05)
        kill(second)
        assert ends(process)[0] == 0
    assert Counter(entry.image for entry in Manifest(Folder(str(out))).entries()) == {
        f"{n}.png": 1 for n in range(number)
    }
    assert {path.name for path in out.glob("*.png")} == {f"{n}.png" for n in range(number)}


KILLING = """
import os, signal
from fsspec.implementations.local import LocalFileSystem

class Killing(LocalFileSystem):
    protocol = "killing"

    def cat_file(self, path, *arguments, **options):
        if path.endswith("killer.png"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().cat_file(path, *arguments, **options)
"""
"""A file system on which to read killer.png ends the process, as one does that needs more memory than there is."""


def test_an_image_that_ends_its_process_fails_alone(photographs: Path, tmp_path: Path) -> None:
    (photographs / "killer.png").write_bytes((photographs / "0.png").read_bytes())
    package = tmp_path / "package" / "killing-1.dist-info"
    package.mkdir(parents=True)
    (package.parent / "killing.py").write_text(KILLING)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: killing\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[fsspec.specs]\nkilling = killing.Killing\n")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("GAN_", "RAY_"))}
    environment |= {"PYTHONPATH": f"{package.parent}:{ROOT}", "HOME": str(tmp_path / "home"), "RAY_ADDRESS": "local"}
    command = [sys.executable, "-m", "gan_batch", f"killing://{photographs}", str(tmp_path / "out"), "--size", "64"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    status, said = ends(process)
    assert (status, said) == (
        1,
        f"6 translated, 0 were there already, 1 failed: see failures.jsonl in {tmp_path / 'out'}",
    )
    (line,) = (tmp_path / "out" / "failures.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert (entry["image"], entry["problem"]) == ("killer.png", "process-died")


@pytest.mark.parametrize("out", ["photographs", "photographs/out", "."])
def test_translations_are_not_written_among_the_images(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], out: str
) -> None:
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    monkeypatch.setattr(sys, "argv", ["gan-batch", str(photographs), str(tmp_path / out)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert (caught.value.code, "choose a folder apart from the images" in capsys.readouterr().err) == (2, True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--size", "9"), "--size: "),
        (("--size", "big"), "--size: "),
        (("--direction", "cat2dog"), "--direction: the bundled models are horse2zebra, zebra2horse"),
        (("--model", "nowhere"), "has no card.json"),
        ((), "there is no image in "),
    ],
)
def test_mistakes_are_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    reason: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["gan-batch", str(tmp_path / "in"), str(tmp_path / "out"), *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    said = capsys.readouterr().err
    assert (caught.value.code, said.startswith("gan-batch: "), reason in said) == (2, True, True), said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("given", [{"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, {"AWS_ACCESS_KEY_ID": ""}])
def test_a_store_that_cannot_be_asked_is_named_in_a_line(s3: dict[str, str], tmp_path: Path, given: dict) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    environment |= {**s3, **given, "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1"}
    if not environment["AWS_ACCESS_KEY_ID"]:
        del environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
    command = [sys.executable, "-m", "gan_batch", "s3://images/photographs", str(tmp_path / "out")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("gan-batch: s3://images/photographs: ")
    assert len(done.stderr.splitlines()) == 1


def test_files_in_the_place_of_folders_are_named(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file.png"
    file.write_bytes(b"")
    for folders, reason in (
        ((photographs, file), "would be below a file: choose a folder"),
        ((file, tmp_path / "out"), "is a file:"),
    ):
        monkeypatch.setattr(sys, "argv", ["gan-batch", *map(str, folders)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        assert caught.value.code == 2
        assert reason in capsys.readouterr().err
