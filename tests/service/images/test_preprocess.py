import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.card import SizeRule
from service.errors import Problem
from service.images.preprocess import MINIMUM_SIDE, SNAP, Size, model_size

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


def test_too_many_pixels_are_refused_with_the_size_in_words() -> None:
    with pytest.raises(Problem, match="2000x1000 pixels through the model, but at most 1,999,999") as caught:
        model_size(2000, 1000, "native", RULE, 1_999_999)
    assert (caught.value.status, caught.value.kind) == (422, "too-many-model-pixels")


def test_exactly_the_allowed_pixels_pass() -> None:
    assert model_size(2000, 1000, "native", RULE, 2_000_000) == (2000, 1000)
