from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imaging import decoder
from service.card import SizeRule
from service.errors import Problem
from service.images import codecs
from service.images.preprocess import MINIMUM_SIDE, SNAP, InputSpec, Size, default_size, model_size, prepare

RULE = SizeRule(multiple=4, minimum=16)
PLENTY = 10**9


@pytest.mark.parametrize(
    ("image", "size", "expected"),
    [
        ((256, 256), 256, (256, 256)),
        ((1024, 1024), 256, (256, 256)),
        ((30, 30), 256, (256, 256)),
        ((4000, 3000), 256, (256, 192)),
        ((3000, 4000), 256, (192, 256)),
        ((1920, 1080), 512, (512, 288)),
        ((2000, 10), 256, (256, 64)),
        ((1, 1), 64, (64, 64)),
    ],
)
def test_the_longest_side_gets_the_size_and_the_other_follows(
    image: tuple[int, int], size: int, expected: tuple[int, int]
) -> None:
    assert model_size(*image, size, RULE, PLENTY) == expected


@pytest.mark.parametrize(
    ("image", "expected"),
    [((256, 128), (256, 128)), ((333, 201), (332, 200)), ((335, 203), (336, 204)), ((5, 1000), (64, 1000))],
)
def test_native_keeps_the_image_up_to_the_models_multiple(image: tuple[int, int], expected: tuple[int, int]) -> None:
    assert model_size(*image, "native", RULE, PLENTY) == expected


def test_the_models_own_minimum_counts() -> None:
    assert model_size(10, 10, "native", SizeRule(multiple=4, minimum=128), PLENTY) == (128, 128)


@given(
    width=st.integers(1, 20_000),
    height=st.integers(1, 20_000),
    size=st.integers(64, 1024) | st.sampled_from(["native"]),
)
def test_sides_are_always_what_the_model_takes(width: int, height: int, size: Size) -> None:
    sides = model_size(width, height, size, RULE, PLENTY)
    step = RULE.multiple if size == "native" else SNAP
    assert all(side >= MINIMUM_SIDE and side % step == 0 for side in sides)


def test_photographs_fall_into_few_shapes() -> None:
    sides = range(300, 900, 7)
    shapes = {model_size(width, height, 256, RULE, PLENTY) for width in sides for height in sides}
    assert len(shapes) <= 12


@pytest.mark.parametrize(
    ("side", "gpu", "expected"),
    [(1, False, 256), (256, False, 256), (257, False, 384), (8000, False, 384), (256, True, 256), (257, True, 512)],
)
def test_the_default_size_follows_the_image_and_the_device(side: int, gpu: bool, expected: int) -> None:
    assert default_size(side, PLENTY, gpu) == expected


@pytest.mark.parametrize("gpu", [False, True])
def test_the_default_size_respects_the_models_pixels(gpu: bool) -> None:
    assert default_size(4000, 384 * 384 - 1, gpu) == 256


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_photograph_is_decoded_no_larger_than_it_needs_and_looks_the_same(
    encoded: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch, orientation: int
) -> None:
    shapes = Image.effect_noise((40, 30), 100).resize((2000, 1504)).convert("RGB")
    notes = Image.Exif()
    notes[0x0112] = orientation
    body, spec = encoded(shapes, "JPEG", quality=95, exif=notes), InputSpec(None, RULE, PLENTY, PLENTY, gpu=False)
    upright = (2000, 1504) if orientation == 1 else (1504, 2000)
    small = codecs.decode(body, PLENTY, spec.model_size)
    assert small.size == upright
    assert small.image.size == (upright[0] // 2, upright[1] // 2)  # a quarter would be too small
    drafted = prepare(body, spec)
    monkeypatch.setattr(decoder, "DRAFT", 100)
    whole = prepare(body, spec)
    assert drafted.size == whole.size == upright
    assert drafted.model_size == whole.model_size
    assert np.abs(drafted.inputs.astype(int) - whole.inputs).mean() < 0.5


def test_a_photograph_with_previews_is_decoded_smaller_too(encoded: Callable[..., bytes]) -> None:
    body = encoded(Image.new("RGB", (1600, 1200)), "MPO", save_all=True, append_images=[Image.new("RGB", (160, 120))])
    spec = InputSpec(256, RULE, PLENTY, PLENTY, gpu=False)
    assert codecs.decode(body, PLENTY, spec.model_size).image.size == (800, 600)


def test_a_photograph_is_not_stretched(encoded: Callable[..., bytes]) -> None:
    spec = InputSpec(64, RULE, PLENTY, PLENTY, gpu=False)
    for size, expected in (((1600, 1200), (200, 150)), ((1604, 1200), (401, 300)), ((1601, 1200), (1601, 1200))):
        assert codecs.decode(encoded(Image.new("L", size), "JPEG"), PLENTY, spec.model_size).image.size == expected


def test_too_many_pixels_are_refused_with_the_size_in_words() -> None:
    with pytest.raises(Problem, match="2000x1000 pixels through the model, but at most 1,999,999") as caught:
        model_size(2000, 1000, "native", RULE, 1_999_999)
    assert (caught.value.status, caught.value.kind) == (422, "too-many-model-pixels")


def test_exactly_the_allowed_pixels_pass() -> None:
    assert model_size(2000, 1000, "native", RULE, 2_000_000) == (2000, 1000)
