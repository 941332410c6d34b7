import gzip

import pytest
import torch

from training.data.errors import DataError
from training.data.mnist import Digits, load_mnist
from training.distributed import World


@pytest.fixture
def digits():
    """20 digits that know their number: all pixels of digit i are i."""
    images = torch.arange(20, dtype=torch.uint8).reshape(20, 1, 1, 1).expand(20, 1, 28, 28).contiguous()
    return Digits(images, torch.arange(20) % 10)


def numbers(batch: torch.Tensor) -> list[int]:
    return ((batch[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


@pytest.mark.parametrize(("train", "part", "count"), [(True, "train", 20), (False, "t10k", 10)])
def test_digits_and_labels_are_those_of_the_archives(train, part, count, tiny_mnist, tmp_path):
    tiny_mnist.write(tmp_path)
    loaded = load_mnist(tmp_path, train)
    assert loaded.images.shape == (count, 1, 28, 28)
    assert loaded.images.dtype == torch.uint8
    assert loaded.images[:, 0].tolist() == tiny_mnist.images[part].tolist()
    assert loaded.labels.tolist() == tiny_mnist.labels[part].tolist()


def test_unpacked_digits_need_no_archives(tiny_mnist, tmp_path):
    raw = tiny_mnist.write(tmp_path)
    packed = load_mnist(tmp_path)
    for archive in raw.glob("*.gz"):
        archive.unlink()
    assert load_mnist(tmp_path).sha256 == packed.sha256


def test_missing_data_names_the_command(tmp_path):
    with pytest.raises(DataError, match=f"gan-train download --which mnist --data {tmp_path}"):
        load_mnist(tmp_path)


def test_a_damaged_archive_names_the_command(tiny_mnist, tmp_path):
    raw = tiny_mnist.write(tmp_path)
    (raw / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"other"))
    with pytest.raises(DataError, match="gan-train download --which mnist"):
        load_mnist(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\0\0\x08\x03\0\0\0\x14\0\0\0\x1c\0\0\0\x1c ends too soon"])
def test_a_damaged_unpacked_file_names_the_command(content, tiny_mnist, tmp_path):
    raw = tiny_mnist.write(tmp_path)
    load_mnist(tmp_path)
    (raw / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DataError, match="gan-train download --which mnist"):
        load_mnist(tmp_path)


@pytest.mark.parametrize("content", [b"<html>", b"\0\0\x0f\x03" + bytes(20), b"\0\0\x0d\x03" + b"\0\0\0\1" * 4])
def test_an_unpacked_file_of_another_kind_names_the_command(content, tiny_mnist, tmp_path):
    raw = tiny_mnist.write(tmp_path)
    load_mnist(tmp_path)
    (raw / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DataError, match="gan-train download --which mnist"):
        load_mnist(tmp_path)


def test_the_hash_covers_pixels_and_labels(digits):
    other_pixel = digits.images.clone()
    other_pixel[3, 0, 5, 5] += 1
    other_label = digits.labels.clone()
    other_label[3] += 1
    assert (
        len({digits.sha256, Digits(other_pixel, digits.labels).sha256, Digits(digits.images, other_label).sha256}) == 3
    )


def test_a_batch_is_scaled_to_minus_one_and_one():
    images = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1).expand(2, 1, 28, 28)
    batch, _ = Digits(images, torch.zeros(2)).batch(0, 2, seed=0, world=World())
    assert batch.shape == (2, 1, 28, 28)
    assert batch.dtype == torch.float32
    assert sorted(batch[:, 0, 0, 0].tolist()) == [-1.0, 1.0]


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("first", [0, 8, 16])
def test_the_shares_of_all_processes_are_the_batch_of_one(size, first, digits):
    alone = digits.batch(first, 8, seed=3, world=World())
    shares = [digits.batch(first, 8, seed=3, world=World(rank, size)) for rank in range(size)]
    assert all(
        torch.equal(torch.cat(parts), whole) for parts, whole in zip(zip(*shares, strict=True), alone, strict=True)
    )


def test_labels_belong_to_their_digits(digits):
    images, labels = digits.batch(0, 8, seed=3, world=World())
    assert [n % 10 for n in numbers(images)] == labels.tolist()


def test_a_batch_depends_on_seed_and_position_alone(digits):
    batch = digits.batch(8, 8, seed=3, world=World())[0]
    digits.batch(0, 8, seed=3, world=World())
    torch.rand(7)
    assert torch.equal(digits.batch(8, 8, seed=3, world=World())[0], batch)
    assert not torch.equal(digits.batch(8, 8, seed=4, world=World())[0], batch)


def test_every_epoch_shows_every_digit_once_in_another_order(digits):
    # batches of 8 over 20 digits: the third one reaches into the second epoch
    order = [n for first in range(0, 40, 8) for n in numbers(digits.batch(first, 8, seed=3, world=World())[0])]
    assert sorted(order[:20]) == sorted(order[20:]) == list(range(20))
    assert order[:20] != order[20:]
