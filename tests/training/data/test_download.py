import hashlib
from collections import Counter
from pathlib import Path

import pytest
from torchvision.datasets import MNIST

from training.data.download import DownloadConfig, download, horse2zebra_manifest, verify_horse2zebra
from training.data.errors import DataError
from training.data.mnist import load_mnist

PATH = "/cyclegan/datasets/horse2zebra.zip"


@pytest.fixture
def mnist(server, tiny_mnist, tmp_path):
    """Settings that bring the tiny digits from the server."""
    server.files |= {f"/mnist/{name}": content for name, content in tiny_mnist.archives.items()}
    return DownloadConfig(data=tmp_path / "data", which="mnist", mnist_url=f"{server.address}/mnist/")


@pytest.fixture
def pair(server, tiny_pair, tmp_path):
    """Settings that bring the tiny horses and zebras from the server."""
    server.files[PATH] = tiny_pair.zip()
    return DownloadConfig(data=tmp_path / "data", which="horse2zebra", horse2zebra_url=f"{server.address}{PATH}")


def files_under(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_all_brings_both_sets(server, mnist, pair, tiny_mnist, tiny_pair, capsys):
    both = DownloadConfig(data=mnist.data, mnist_url=mnist.mnist_url, horse2zebra_url=pair.horse2zebra_url)
    download(both, tiny_pair.manifest)
    assert len(load_mnist(both.data).images) == 20
    assert files_under(both.data / "horse2zebra") == tiny_pair.files
    assert sorted(p.name for p in both.data.iterdir()) == ["MNIST", "horse2zebra"]
    assert "MNIST: complete" in capsys.readouterr().out


def test_mnist_is_asked_for_file_by_file(server, mnist, tiny_mnist):
    download(mnist)
    assert [a.path for a in server.asked] == [f"/mnist/{name}" for name, _ in MNIST.resources]
    raw = mnist.data / "MNIST" / "raw"
    assert {p.name: p.read_bytes() for p in raw.glob("*.gz")} == tiny_mnist.archives


@pytest.mark.parametrize("kept", ["*.gz", "*ubyte", "*"])
def test_mnist_packed_or_unpacked_is_already_there(kept, mnist, tiny_mnist, nowhere, capsys):
    download(mnist)
    for file in set((mnist.data / "MNIST" / "raw").iterdir()) - set((mnist.data / "MNIST" / "raw").glob(kept)):
        file.unlink()
    capsys.readouterr()
    download(mnist.model_copy(update={"mnist_url": nowhere}))
    assert "MNIST: already there" in capsys.readouterr().out


def test_mnist_fetches_only_the_archives_that_are_wrong(server, mnist, tiny_mnist):
    raw = tiny_mnist.write(mnist.data)
    (raw / "t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    download(mnist)
    assert [a.path for a in server.asked] == ["/mnist/t10k-labels-idx1-ubyte.gz"]
    assert len(load_mnist(mnist.data, train=False).labels) == 10


def test_mnist_whose_unpacking_was_interrupted_is_mended_from_the_archives(server, mnist, tiny_mnist):
    download(mnist)
    server.asked.clear()
    unpacked = mnist.data / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    unpacked.write_bytes(unpacked.read_bytes()[:-100])
    download(mnist)
    assert server.asked == []
    assert len(load_mnist(mnist.data, train=False).images) == 10


def test_mnist_damaged_on_the_server_names_address_checksums_and_remedy(server, mnist, tiny_mnist):
    name, md5 = MNIST.resources[0]
    server.files[f"/mnist/{name}"] = b"something else"
    with pytest.raises(DataError) as caught:
        download(mnist)
    message = str(caught.value)
    for part in (f"{mnist.mnist_url}{name}", md5, hashlib.md5(b"something else").hexdigest(), "--mnist-url"):
        assert part in message
    assert files_under(mnist.data) == {}


def test_a_broken_zip_transfer_goes_on(server, pair, tiny_pair):
    server.breaks = [1_000]
    download(pair, tiny_pair.manifest)
    assert [a.range for a in server.asked] == [None, "bytes=1000-"]
    assert server.sent == len(server.files[PATH])
    assert files_under(pair.data) == {f"horse2zebra/{name}": content for name, content in tiny_pair.files.items()}


def test_horse2zebra_is_already_there(pair, tiny_pair, nowhere, capsys):
    tiny_pair.write(pair.data / "horse2zebra")
    download(pair.model_copy(update={"horse2zebra_url": nowhere}), tiny_pair.manifest)
    assert "horse2zebra: already there, 12 verified files" in capsys.readouterr().out


def test_an_archive_that_somebody_put_there_needs_no_network(pair, tiny_pair, nowhere):
    pair.data.mkdir()
    (pair.data / "horse2zebra.zip").write_bytes(tiny_pair.zip())
    download(pair.model_copy(update={"horse2zebra_url": nowhere}), tiny_pair.manifest)
    assert files_under(pair.data) == {f"horse2zebra/{name}": content for name, content in tiny_pair.files.items()}


def test_missing_and_altered_images_are_named_and_brought_again(pair, tiny_pair, capsys):
    root = pair.data / "horse2zebra"
    tiny_pair.write(root)
    for number in range(3):
        (root / f"trainB/n{number}.jpg").unlink()
    (root / "testA/n0.jpg").write_bytes(b"altered")
    (root / "trainA/mine.jpg").write_bytes(b"added by somebody")
    wrong = ["trainB/n0.jpg", "trainB/n1.jpg", "trainB/n2.jpg", "testA/n0.jpg"]
    assert verify_horse2zebra(root, tiny_pair.manifest) == wrong
    download(pair, tiny_pair.manifest)
    said = capsys.readouterr().out
    assert "4 of 12 files are missing or differ (trainB/n0.jpg, trainB/n1.jpg, trainB/n2.jpg and 1 more)" in said
    assert files_under(root) == tiny_pair.files | {"trainA/mine.jpg": b"added by somebody"}


def test_what_an_interrupted_extraction_left_is_cleared(pair, tiny_pair):
    left = pair.data / "horse2zebra.unpacking" / "trainA"
    left.mkdir(parents=True)
    (left / "half.jpg").write_bytes(b"half")
    download(pair, tiny_pair.manifest)
    assert files_under(pair.data) == {f"horse2zebra/{name}": content for name, content in tiny_pair.files.items()}


def test_only_the_manifest_names_where_anything_is_written(server, pair, tiny_pair, tmp_path):
    outside = {"../../evil.txt": b"evil", "/evil.txt": b"evil", "horse2zebra/../../../evil/trainA/x.jpg": b"evil"}
    # a known name in a strange place is taken, and put where the manifest says
    moved = {"../../elsewhere/trainA/n0.jpg": tiny_pair.files["trainA/n0.jpg"]}
    server.files[PATH] = tiny_pair.zip(leave_out="trainA/n0.jpg", **outside, **moved)
    download(pair, tiny_pair.manifest)
    assert files_under(tmp_path) == {f"data/horse2zebra/{name}": content for name, content in tiny_pair.files.items()}


def test_a_zip_without_one_of_the_files_is_refused(server, pair, tiny_pair):
    server.files[PATH] = tiny_pair.zip(leave_out="testB/n2.jpg")
    with pytest.raises(DataError) as caught:
        download(pair, tiny_pair.manifest)
    message = str(caught.value)
    for part in (pair.horse2zebra_url, "1 of 12 files", "testB/n2.jpg", "no file found", "--horse2zebra-url"):
        assert part in message
    assert files_under(pair.data) == {}


def test_a_zip_with_another_image_names_both_checksums(server, pair, tiny_pair):
    server.files[PATH] = tiny_pair.zip(**{"horse2zebra/trainA/n1.jpg": b"another image"})
    with pytest.raises(DataError) as caught:
        download(pair, tiny_pair.manifest)
    assert tiny_pair.manifest["trainA/n1.jpg"] in str(caught.value)
    assert hashlib.sha256(b"another image").hexdigest() in str(caught.value)


def test_damage_inside_the_archive_is_found(server, pair, tiny_pair):
    content = bytearray(tiny_pair.zip())
    content[300] ^= 255
    server.files[PATH] = bytes(content)
    with pytest.raises(DataError, match="1 of 12 files are missing or differ"):
        download(pair, tiny_pair.manifest)


def test_what_is_no_zip_is_refused(server, pair, tiny_pair):
    server.files[PATH] = b"<html>moved</html>"
    with pytest.raises(DataError, match="a zip archive expected"):
        download(pair, tiny_pair.manifest)
    assert files_under(pair.data) == {}


def test_an_address_without_the_archive_is_refused(pair, server, tiny_pair):
    del server.files[PATH]
    with pytest.raises(DataError, match=r"404 Not Found.*--horse2zebra-url"):
        download(pair, tiny_pair.manifest)


def test_a_folder_that_cannot_be_written_says_so(pair, tiny_pair):
    pair.data.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"cannot store the data under .*--data"):
        download(pair, tiny_pair.manifest)


def test_verify_finds_every_file_of_an_empty_folder_missing(tmp_path):
    assert len(verify_horse2zebra(tmp_path)) == 2661


def test_the_committed_manifest_has_the_published_counts():
    folders = Counter(name.split("/")[0] for name in horse2zebra_manifest())
    assert folders == {"trainA": 1067, "trainB": 1334, "testA": 120, "testB": 140}
    assert all(len(sha256) == 64 for sha256 in horse2zebra_manifest().values())
