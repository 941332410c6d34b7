"""The translations are those of the service."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_batch.translator import Translator
from gan_client import Client
from service.settings import BUNDLED_MODELS

PHOTOGRAPH = Path(__file__).parents[2] / "docs" / "images" / "nokota-horses.webp"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "in").mkdir()
    return tmp_path / "in", tmp_path / "out"


@pytest.fixture
def translator(folders: tuple[Path, Path]) -> Callable[..., Translator]:
    model = str(BUNDLED_MODELS / "horse2zebra" / "10")

    def make(size: int | str | None = None, detail: bool = True, format: str | None = "png") -> Translator:
        return Translator(*map(str, folders), model, size, detail, format, "cpu")

    return make


@pytest.mark.parametrize(("size", "detail"), [(None, True), (128, False), (64, True), ("native", True)])
def test_pixels_are_those_of_the_service(
    folders: tuple[Path, Path],
    translator: Callable[..., Translator],
    live_service: str,
    size: int | str | None,
    detail: bool,
) -> None:
    source, out = folders
    image = Image.open(PHOTOGRAPH).convert("RGB").resize((300, 180))
    image.save(source / "horses.jpg")
    (entry,) = translator(size, detail).translate(["horses.jpg"])
    assert (entry.problem, entry.translation) == (None, "horses.jpg.png")
    with Client(live_service) as client:
        expected = client.translate(
            source / "horses.jpg",
            "horse2zebra",
            size=size,
            detail="on" if detail else "off",
            format="png",
            model="horse2zebra/10",
        )
    found = np.asarray(Image.open(out / "horses.jpg.png"))
    # a run on several threads may differ from one on a single thread by the rounding of a grey level
    assert np.abs(found.astype(int) - expected.array).max() <= 1
    assert (found != np.asarray(image)).any()


def test_a_failed_image_is_told_and_the_others_are_translated(
    folders: tuple[Path, Path], translator: Callable[..., Translator], noise: Callable[..., Image.Image]
) -> None:
    source, out = folders
    buffer = io.BytesIO()
    noise(64, 64).save(buffer, "PNG")
    (source / "good.png").write_bytes(buffer.getvalue())
    (source / "cut.png").write_bytes(buffer.getvalue()[:200])
    (source / "text.png").write_bytes(b"no image")
    rows = translator(format=None)({"image": np.array(["good.png", "cut.png", "text.png", "missing.png"])})
    assert rows["problem"] == [None, "broken-image", "not-an-image", "storage-failed"]
    assert all(rows["detail"][1:])
    assert [path.name for path in out.iterdir()] == ["good.png"]


def test_an_error_of_a_store_is_one_of_storage(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ENDPOINT_URL": "http://127.0.0.1:9",
        "ACCESS_KEY_ID": "any",
        "SECRET_ACCESS_KEY": "any",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("fsspec.config.conf", {"s3": {"skip_instance_cache": True}})  # other tests have another store
    model = str(BUNDLED_MODELS / "horse2zebra" / "10")
    (entry,) = Translator("s3://nowhere/in", str(folders[1]), model, None, True, "png", "cpu").translate(["a.png"])
    assert entry.problem == "storage-failed"
