from pathlib import Path

import pytest
from PIL import Image

from training.data.download import horse2zebra_manifest
from training.data.errors import DataError
from training.data.folders import CROSSES_INTO_TEST, list_images, list_side


def fill(folder: Path, *names: str) -> Path:
    """Small images of these names in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (8, 8)).save(folder / name, format="PNG")
    return folder


def names(files: list[Path]) -> list[str]:
    return [f.name for f in files]


def test_images_are_found_by_suffix_in_the_order_of_their_names(tmp_path: Path) -> None:
    folder = fill(tmp_path, "b.png", "a.JPG", "c.jfif", "d.tif", "e.bmp", "f.gif", "g.avif", "h.webp", "ünï 馬.jpeg")
    found = list_images(folder)
    assert names(found.files) == sorted(p.name for p in folder.iterdir())
    assert str(found).startswith("9 images in ")
    assert not found.left_out


def test_all_else_is_counted_by_its_reason(tmp_path: Path) -> None:
    folder = fill(tmp_path / "trainA", "one.png", "._one.png", ".DS_Store", "two.heic", "three.heic", "LICENSE")
    (folder / "notes.txt").touch()
    (folder / "looks.jpg").mkdir()
    found = list_images(folder)
    assert names(found.files) == ["one.png"]
    assert str(found) == (
        "1 image in trainA (left out: 2 .heic: convert them to JPEG, 1 .txt, 1 folder, 2 hidden, 1 without a suffix)"
    )


def test_test_images_come_from_their_folder(tmp_path: Path) -> None:
    fill(tmp_path / "trainB", "1.png", "2.png")
    fill(tmp_path / "testB", "3.png")
    side = list_side(tmp_path, "B")
    assert (names(side.train.files), names(side.test.files), side.held_out) == (["1.png", "2.png"], ["3.png"], False)
    assert str(side) == "2 images in trainB, 1 image in testB"


@pytest.mark.parametrize(("count", "held"), [(2, 1), (4, 1), (10, 1), (25, 2), (100, 10)])
def test_without_a_test_folder_a_tenth_is_held_out(tmp_path: Path, count: int, held: int) -> None:
    fill(tmp_path / "trainA", *(f"{i:03d}.png" for i in range(count)))
    side = list_side(tmp_path, "A")
    assert (len(side.train.files), len(side.test.files), side.held_out) == (count - held, held, True)
    assert not {*side.train.files} & {*side.test.files}
    assert "held out for tests, since there are none in testA" in str(side)


def test_one_image_alone_cannot_be_fitted_on_and_held_out(tmp_path: Path) -> None:
    fill(tmp_path / "trainA", "1.png")
    with pytest.raises(DataError, match=r"trainA holds one image and .*testA none"):
        list_side(tmp_path, "A")


def test_what_crosses_from_training_into_test_is_what_the_manifest_says() -> None:
    sides: dict[str, dict[str, list[str]]] = {part: {} for part in ("train", "test")}
    for name, sha256 in horse2zebra_manifest().items():
        folder, file = name.split("/")
        sides[folder.removesuffix("A").removesuffix("B")].setdefault(sha256, []).append(file)
    crossing = [file for sha256 in sides["train"].keys() & sides["test"].keys() for file in sides["train"][sha256]]
    assert sorted(crossing) == sorted(CROSSES_INTO_TEST["horse2zebra"])


@pytest.mark.parametrize(("pair", "count"), [("horse2zebra", 1), ("warm2cold", 2)])
def test_training_leaves_out_what_the_test_set_has_too(tmp_path: Path, pair: str, count: int) -> None:
    fill(tmp_path / pair / "trainA", "ours.png", *CROSSES_INTO_TEST["horse2zebra"])
    fill(tmp_path / pair / "testA", "theirs.png")
    side = list_side(tmp_path / pair, "A")
    assert len(side.train.files) == count
    assert ("1 test image" in str(side)) == (count == 1)


@pytest.mark.parametrize("make", [False, True])
def test_horses_and_zebras_that_are_missing_can_be_downloaded(make: bool, tmp_path: Path) -> None:
    root = tmp_path / "horse2zebra"
    if make:
        (root / "trainA").mkdir(parents=True)
    with pytest.raises(DataError, match=f"gan-train download --which horse2zebra --data {tmp_path}'"):
        list_side(root, "A")


def test_an_own_pair_that_is_missing_names_the_pairs_that_exist(tmp_path: Path) -> None:
    fill(tmp_path / "warm2cold" / "trainA", "1.png")
    with pytest.raises(DataError, match=r"no images in trainA: .* holds warm2cold: name one with --pair") as told:
        list_side(tmp_path / "warm2cool", "A")
    assert "horse2zebra" not in str(told.value)


def test_an_own_pair_without_images_is_told_where_to_put_them(tmp_path: Path) -> None:
    fill(tmp_path / "warm2cold" / "trainA", "notes.txt")
    with pytest.raises(DataError, match=r"no images in trainA \(left out: 1 .txt\): put images .*/warm2cold/trainA"):
        list_side(tmp_path / "warm2cold", "A")
