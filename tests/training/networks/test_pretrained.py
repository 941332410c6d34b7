"""The files with stand-ins; the real ones where FEATURE_WEIGHTS names their folder."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.data.errors import DataError
from training.images import to_signed
from training.networks.efficientnet_lite import EfficientNetLite0
from training.networks.pretrained import (
    EFFICIENTNET_FILE,
    INCEPTION_FILE,
    MOBILENET_FILE,
    SHA256,
    check_weights,
    load_efficientnet,
    load_mobilenet,
    weight_file,
)

WEIGHTS = Path(os.environ.get("FEATURE_WEIGHTS", "no-folder"))
HORSES = Path(__file__).resolve().parents[3] / "docs" / "images" / "nokota-horses.webp"


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not (WEIGHTS / name).is_file(), reason=f"FEATURE_WEIGHTS names no folder with {name}")


def test_files_that_are_not_the_named_ones_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (INCEPTION_FILE, MOBILENET_FILE):
        (tmp_path / name).write_bytes(b"another network")
        check_weights(tmp_path, name)
        assert f"{tmp_path / name} is not the file that docs/fitting/scores.md names" in capsys.readouterr().out
    with pytest.raises(DataError, match=f"{MOBILENET_FILE} is not there"):
        check_weights(tmp_path / "elsewhere", MOBILENET_FILE)


@pytest.mark.parametrize("name", SHA256)
def test_a_missing_file_is_named_with_the_page_that_says_where_from(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=rf"{name} is not there: docs/fitting/scores\.md says"):
        weight_file(tmp_path, name)


def test_an_efficientnet_of_another_hash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{EFFICIENTNET_FILE} is not there"):
        load_efficientnet(tmp_path)
    torch.save(EfficientNetLite0().state_dict(), tmp_path / EFFICIENTNET_FILE)
    with pytest.raises(DataError, match=f"{EFFICIENTNET_FILE} is damaged or another file: download it again"):
        load_efficientnet(tmp_path)


@pytest.mark.parametrize("name", [INCEPTION_FILE, MOBILENET_FILE, EFFICIENTNET_FILE])
def test_the_real_files_are_those_that_are_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if not (WEIGHTS / name).is_file():
        pytest.skip(f"FEATURE_WEIGHTS names no folder with {name}")
    check_weights(WEIGHTS, name)
    assert capsys.readouterr().out == ""


@needs(EFFICIENTNET_FILE)
def test_the_real_efficientnet_has_healthy_maps_of_a_photograph() -> None:
    with Image.open(HORSES) as photograph:
        pixels = torch.from_numpy(np.array(photograph.convert("RGB").resize((256, 256)))).permute(2, 0, 1)
    network = load_efficientnet(WEIGHTS)
    assert not network.training
    with torch.no_grad():
        maps = network(to_signed(pixels[None]))
    assert [m.shape[1:] for m in maps] == [(24, 64, 64), (40, 32, 32), (112, 16, 16), (320, 8, 8)]
    assert all(0.1 < m.std() < 100 for m in maps)


@needs(MOBILENET_FILE)
def test_the_real_mobilenet_is_in_evaluation_mode() -> None:
    assert not load_mobilenet(WEIGHTS).training
