"""The files in models/ themselves: what they promise, and that batches change nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.card import CARD_FILE, MODEL_FILE, ModelCard, read_card
from service.runtime.cpu import CpuSession
from service.runtime.slots import Slot
from service.settings import BUNDLED_MODELS

FOLDERS = sorted(path.parent for path in BUNDLED_MODELS.glob(f"*/*/{CARD_FILE}"))
SLOT = Slot(0)
SESSIONS: dict[str, CpuSession] = {}


def session_of(card: ModelCard) -> CpuSession:
    if card.name not in SESSIONS:
        SESSIONS[card.name] = CpuSession(
            BUNDLED_MODELS / card.name / card.version, card, threads=2, max_items=64, images=1
        )
    return SESSIONS[card.name]


@pytest.fixture(params=FOLDERS, ids=lambda folder: "/".join(folder.parts[-2:]))
def card(request: pytest.FixtureRequest) -> ModelCard:
    return read_card(request.param)


def test_both_tasks_and_directions_are_there() -> None:
    cards = [read_card(folder) for folder in FOLDERS]
    assert {card.direction for card in cards} == {None, "horse2zebra", "zebra2horse"}


def test_it_is_small_and_scored_and_says_what_fitted_it(card: ModelCard) -> None:
    assert (BUNDLED_MODELS / card.name / card.version / MODEL_FILE).stat().st_size < 12e6
    assert card.scores
    assert card.training.images > 1000
    assert "dirty" not in card.training.git_commit


@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_a_digit_is_the_same_within_one_level_whatever_it_was_batched_with(data: st.DataObject) -> None:
    card = read_card(next(folder for folder in FOLDERS if folder.parent.name == "mnist"))
    seeds = data.draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=70))
    rows = np.array(seeds, np.uint64)[:, None]
    together = session_of(card).run(SLOT, rows, alone=False)
    place = data.draw(st.integers(0, len(seeds) - 1))
    alone = session_of(card).run(SLOT, rows[place : place + 1], alone=True)[0]
    difference = np.abs(together[place].astype(int) - alone)
    assert difference.max() <= 1  # a processor may add up a batch in another order than a single row
    assert (difference > 0).mean() <= 0.01


@settings(deadline=None, max_examples=4)
@given(data=st.data())
@pytest.mark.parametrize("direction", ["horse2zebra", "zebra2horse"])
def test_a_picture_is_the_same_within_one_level_whatever_it_was_batched_with(
    direction: str, data: st.DataObject
) -> None:
    card = read_card(next(folder for folder in FOLDERS if folder.parent.name == direction))
    dice = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    height, width = (32 * data.draw(st.integers(2, 5)) for _ in "hw")
    # smooth pictures, as photographs are
    coarse = dice.integers(0, 256, (data.draw(st.integers(2, 6)), height // 16, width // 16, 3), dtype=np.uint8)
    pictures = coarse.repeat(16, axis=1).repeat(16, axis=2)
    together = session_of(card).run(SLOT, pictures, alone=False)
    for picture, translated in zip(pictures, together, strict=True):
        alone = session_of(card).run(SLOT, picture[None], alone=True)[0]
        assert np.abs(translated.astype(int) - alone).max() <= 1
