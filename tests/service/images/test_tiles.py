import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.card import SizeRule
from service.images import tiles
from service.images.tiles import Tiling, spans

RADIUS = 5


@given(fours=st.integers(1, 150), overlap=st.integers(0, 5), more=st.integers(1, 15))
def test_spans_cover_a_side_once_with_context(fours: int, overlap: int, more: int) -> None:
    side, overlap = 4 * fours, 4 * overlap
    longest = 2 * overlap + 4 * more
    found = spans(side, overlap, longest, 4)
    assert [found[0].first, *(span.last for span in found)] == [0, *(span.first for span in found[1:]), side]
    for span in found:
        assert span.length == found[0].length <= min(side, longest)
        assert span.length % 4 == span.start % 4 == 0  # so that strides fall on the same pixels
        assert span.start >= 0
        assert span.start + span.length <= side
        assert span.first < span.last
        assert span.start == 0 or span.first - span.start >= overlap
        assert span.start + span.length == side or span.start + span.length - span.last >= overlap


def test_spans_repeat_no_more_than_their_number_needs() -> None:
    assert [(span.start, span.length) for span in spans(1200, 64, 640, 4)] == [(0, 488), (360, 488), (712, 488)]
    assert [(span.start, span.length) for span in spans(640, 64, 640, 4)] == [(0, 640)]


def blur(images: np.ndarray) -> np.ndarray:
    """A model: the mean over RADIUS pixels in each direction, with reflection at the borders."""
    wide = np.pad(images.astype(float), ((0, 0), (RADIUS, RADIUS), (RADIUS, RADIUS), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(wide, (2 * RADIUS + 1, 2 * RADIUS + 1), axis=(1, 2))
    return windows.mean(axis=(4, 5)).round().astype(np.uint8)


@pytest.mark.parametrize("size", [(40, 40), (64, 100), (200, 28), (132, 148)])
def test_tiles_make_the_image_that_the_whole_makes(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "TILE_SIDE", 48)
    image = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
    tiling, shapes = Tiling(image, SizeRule(multiple=4, minimum=16, receptive_radius=RADIUS)), set[tuple[int, ...]]()
    for row in tiling.rows:
        cut = tiling.cut(row)
        shapes.add(cut.shape)
        tiling.put(row, blur(cut))
    assert (tiling.output == blur(image)[0]).all()
    assert len(shapes) == 1
    assert max(shapes.pop()[1:]) <= 48
