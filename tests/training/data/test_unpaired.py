import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from torchvision.transforms import v2

from service.images import codecs
from training.data.errors import DataError
from training.data.folders import list_images
from training.data.unpaired import Domain, load_domain
from training.distributed import World


@pytest.fixture
def domain():
    """10 images of 20x20 whose red is their number, whose green and blue say where a pixel is."""
    images = torch.zeros(10, 3, 20, 20, dtype=torch.uint8)
    images[:, 0] = torch.arange(10).reshape(10, 1, 1)
    images[:, 1] = torch.arange(20).reshape(1, 20, 1)
    images[:, 2] = torch.arange(20).reshape(1, 1, 20)
    return Domain("trainA", images, "hash")


def pixels(batch: torch.Tensor) -> torch.Tensor:
    return ((batch + 1) * 127.5).round().int()


def save(folder, name, mode="RGB", color=(200, 100, 50), size=(24, 16)):
    folder.mkdir(exist_ok=True)
    Image.new(mode, size, color).save(folder / name)


def test_images_come_sorted_by_name_and_resized(tmp_path):
    for number, name in enumerate(["b.png", "c.WEBP", "a.png"]):
        save(tmp_path / "trainA", name, color=(number, number, number))
    (tmp_path / "trainA" / "notes.txt").write_text("not a image")
    loaded = load_domain(list_images(tmp_path / "trainA"), resize=12)
    assert loaded.name == "trainA"
    assert loaded.images.shape == (3, 3, 12, 12)
    assert loaded.images.dtype == torch.uint8
    assert loaded.images[:, 0, 5, 5].tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("name", "mode", "color", "rgb"),
    [
        ("colour.png", "RGB", (200, 100, 50), (200, 100, 50)),
        ("grey.jpg", "L", 90, (90, 90, 90)),
        ("print.jpg", "CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("clear.png", "RGBA", (200, 100, 50, 255), (200, 100, 50)),
        ("palette.png", "P", 0, (0, 0, 0)),
    ],
)
def test_every_kind_of_image_becomes_rgb(name, mode, color, rgb, tmp_path):
    save(tmp_path / "trainA", name, mode, color)
    images = load_domain(list_images(tmp_path / "trainA"), resize=16).images
    assert images.shape == (1, 3, 16, 16)
    found = images[0, :, 8, 8].int() - torch.tensor(rgb)
    assert found.abs().max() <= 3  # JPEG rounds


def test_the_hash_tells_the_files_apart(tmp_path):
    save(tmp_path / "trainA", "a.png")
    save(tmp_path / "trainB", "a.png")
    hashes = [load_domain(list_images(tmp_path / name), resize=8).sha256 for name in ("trainA", "trainB")]
    save(tmp_path / "trainB", "a.png", color=(200, 100, 51))
    hashes.append(load_domain(list_images(tmp_path / "trainB"), resize=8).sha256)
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("damage", [lambda content: b"no image", lambda content: content[: len(content) // 2]])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_all_broken_images_are_named_at_once(damage, suffix, tmp_path):
    folder = tmp_path / "trainA"
    folder.mkdir()
    save(folder, f"good.{suffix}")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for name in ("one", "two"):
        broken = folder / f"{name}.{suffix}"
        Image.fromarray(noise).save(broken)
        broken.write_bytes(damage(broken.read_bytes()))
    with pytest.raises(DataError, match=rf"^2 of 3 images in trainA cannot.*one\.{suffix} \(.*two\.{suffix} \("):
        load_domain(list_images(folder), resize=8)


def test_crops_are_windows_of_the_image_some_mirrored(domain):
    batch = domain.batch(0, 100, crop=16, seed=1, world=World())
    assert batch.shape == (100, 3, 16, 16)
    assert batch.min() >= -1
    assert batch.max() <= 1
    rows, columns = pixels(batch)[:, 1, :, 0], pixels(batch)[:, 2, 0, :]
    assert (rows.diff() == 1).all()
    mirrored = columns.diff()[:, 0] == -1
    assert (columns.diff() == torch.where(mirrored, -1, 1).unsqueeze(1)).all()
    assert 30 < mirrored.sum() < 70
    assert set(rows[:, 0].tolist()) == set(columns.min(dim=1).values.tolist()) == set(range(5))


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("first", [0, 4, 8])
def test_the_shares_of_all_processes_are_the_batch_of_one(size, first, domain):
    alone = domain.batch(first, 4, crop=16, seed=3, world=World())
    shares = [domain.batch(first, 4, crop=16, seed=3, world=World(rank, size)) for rank in range(size)]
    assert torch.equal(torch.cat(shares), alone)


def test_a_batch_depends_on_seed_and_position_alone(domain):
    batch = domain.batch(4, 4, crop=16, seed=3, world=World())
    domain.batch(0, 4, crop=16, seed=3, world=World())
    torch.rand(7)
    assert torch.equal(domain.batch(4, 4, crop=16, seed=3, world=World()), batch)
    assert not torch.equal(domain.batch(4, 4, crop=16, seed=4, world=World()), batch)


def test_drawing_a_batch_leaves_the_global_generator_alone(domain):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    domain.batch(0, 4, crop=16, seed=3, world=World())
    assert torch.equal(torch.rand(3), expected)


def test_pixels_lie_anywhere_inside_their_grey_level(domain):
    levels = torch.tensor([0, 100, 255], dtype=torch.uint8).reshape(1, 3, 1, 1).expand(2, 3, 20, 20)
    batch = Domain("trainA", levels, "hash").batch(0, 40, crop=16, seed=1, world=World())
    black, grey, white = ((batch + 1) * 127.5).unbind(1)
    assert (grey - 100).abs().max() <= 0.5 + 1e-4
    assert grey.mean() == pytest.approx(100, abs=0.02)
    assert grey.std() == pytest.approx(12**-0.5, rel=0.02)
    assert (black.min(), white.max()) == (0, 255)  # where the range of colours ends, half of the interval is left
    assert black.max() <= 0.5 + 1e-4
    assert white.min() >= 254.5 - 1e-4
    assert not torch.equal(grey[0], grey[1])


def test_every_epoch_shows_every_image_once_in_an_order_of_its_domain(domain):
    def order(drawn: Domain) -> list[int]:
        batches = [drawn.batch(first, 4, crop=16, seed=3, world=World()) for first in range(0, 20, 4)]
        return pixels(torch.cat(batches))[:, 0, 0, 0].tolist()

    seen = order(domain)
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10] != seen[10:]
    assert order(Domain("trainB", domain.images, "hash")) != seen


def test_images_are_fitted_as_they_are_served(tmp_path):
    """Upright, on white, with all of their 16 bits, converted to sRGB, and in spite of a missing end."""
    folder = tmp_path / "trainA"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((48, 32), Image.Resampling.BICUBIC)
    notes = Image.Exif()
    notes[0x0112] = 6
    image.save(folder / "exif.jpg", exif=notes)
    clear = image.copy()
    clear.putalpha(100)
    clear.save(folder / "clear.png")
    Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(folder / "deep.png")
    lab = ImageCms.profileToProfile(
        image, *(ImageCms.createProfile(name) for name in ("sRGB", "LAB")), outputMode="LAB"
    )
    lab.save(folder / "lab.tiff")
    image.save(folder / "first.gif", save_all=True, append_images=[image.rotate(180)])
    image.save(folder / "uncut.jpg")
    (folder / "cut.jpg").write_bytes((folder / "uncut.jpg").read_bytes()[:-2])
    (folder / "uncut.jpg").unlink()
    files = list_images(folder)
    assert len(files.files) == 6
    for row, file in zip(load_domain(files, resize=32).images, files.files, strict=True):
        served = codecs.decode(file.read_bytes(), 10**6).image
        expected = v2.functional.pil_to_tensor(v2.Resize((32, 32), antialias=True)(served))
        assert torch.equal(row, expected), file.name


def test_a_refused_file_is_named_with_what_to_do(tmp_path):
    save(tmp_path / "trainA", "a.png")
    (tmp_path / "trainA" / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(50))
    with pytest.raises(DataError, match=r"1 of 2 images in trainA.*phone\.jpg \(the file is a HEIC file.*to JPEG"):
        load_domain(list_images(tmp_path / "trainA"), resize=8)
