import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from service.images import detail

SIZES = [(37, 23), (64, 48), (200, 150), (1000, 7), (5, 900)]
"""Photographs smaller and larger than the images inside the model, which have 64 x 48 pixels."""

Noise = Callable[..., Image.Image]


def photograph(width: int, height: int, seed: int = 0) -> Image.Image:
    grey = np.random.default_rng(seed).integers(96, 160, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(grey)


def inner(seed: int) -> np.ndarray:
    return np.asarray(photograph(64, 48, seed))


@pytest.mark.parametrize("size", SIZES)
def test_the_enlarged_change_is_added(size: tuple[int, int]) -> None:
    image = photograph(*size)
    stored, before, after = np.asarray(image).astype(np.float32), inner(1), inner(2)
    detail.transfer(image, before, after)
    change = after.astype(np.float32) - before
    enlarged = [
        np.asarray(Image.fromarray(np.ascontiguousarray(change[..., c])).resize(size, Image.Resampling.BICUBIC))
        for c in range(3)
    ]
    expected = (stored + np.stack(enlarged, axis=2)).clip(0, 255)
    assert np.abs(np.asarray(image) - expected).max() < 0.51  # which is rounded


@pytest.mark.parametrize("size", SIZES)
def test_strips_leave_no_seams(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    whole, strips = photograph(*size), photograph(*size)
    monkeypatch.setattr(detail, "STRIP_PIXELS", 10**9)
    detail.transfer(whole, inner(1), inner(2))
    monkeypatch.setattr(detail, "STRIP_PIXELS", 1)
    detail.transfer(strips, inner(1), inner(2))
    assert (np.asarray(whole) == np.asarray(strips)).all()


def test_without_a_change_the_photograph_stays() -> None:
    image = photograph(200, 150)
    detail.transfer(image, inner(1), inner(1))
    assert image == photograph(200, 150)


def test_at_model_size_the_result_is_the_generators_image() -> None:
    image = photograph(64, 48, seed=1)
    detail.transfer(image, inner(1), inner(2))
    assert (np.asarray(image) == inner(2)).all()


def test_sums_are_clipped() -> None:
    black, white = np.zeros((48, 64, 3), np.uint8), np.full((48, 64, 3), 255, np.uint8)
    image = photograph(200, 150)
    detail.transfer(image, black, white)
    assert (np.asarray(image) == 255).all()
    detail.transfer(image, white, black)
    assert (np.asarray(image) == 0).all()


@pytest.mark.parametrize("at_once", [1, 7, 1000])
@pytest.mark.parametrize(("side", "enlarged"), [(20, 100), (100, 20), (5, 5)])
def test_bands_follow_each_other_and_keep_a_constant(side: int, enlarged: int, at_once: int) -> None:
    found = list(detail.bands(side, enlarged, at_once))
    assert [row for band in found for row in range(enlarged)[band.written]] == list(range(enlarged))
    for band in found:
        assert band.weights.shape == (band.written.stop - band.written.start, band.read.stop - band.read.start)
        assert band.weights.sum(axis=1) == pytest.approx(1)


def test_render_decodes_again_and_encodes(encoded: Callable[..., bytes]) -> None:
    image = photograph(200, 150)
    body = detail.render(encoded(image, "PNG"), inner(1), inner(2), "png", 10**6)
    detail.transfer(image, inner(1), inner(2))
    assert (np.asarray(Image.open(io.BytesIO(body))) == np.asarray(image)).all()
