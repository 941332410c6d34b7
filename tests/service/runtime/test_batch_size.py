import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.runtime.batch_size import batch_size, padded

LINEAR = {size: float(size) for size in (1, 2, 4, 8)}
"""A device on which a batch saves nothing."""
FLAT = dict.fromkeys((1, 2, 4, 8), 1.0)
"""A device on which any batch takes as long as one item."""


@pytest.mark.parametrize(("waiting", "now"), [(1, 1), (2, 2), (3, 2), (4, 4), (5, 4), (6, 4), (8, 8), (9, 8), (99, 8)])
def test_where_padding_costs_a_full_batch_runs_first(waiting: int, now: int) -> None:
    assert batch_size(waiting, LINEAR) == now


@pytest.mark.parametrize(("waiting", "now"), [(1, 1), (3, 3), (5, 5), (7, 7), (8, 8), (9, 8)])
def test_where_padding_is_free_all_run_together(waiting: int, now: int) -> None:
    assert batch_size(waiting, FLAT) == now


def test_the_rest_of_a_smaller_batch_counts_at_the_size_it_needs() -> None:
    # 7 of 8: a batch of 8 takes 5, one of 4 takes 3 and the 3 that are left as long again
    assert batch_size(7, {1: 1.0, 4: 3.0, 8: 5.0}) == 7
    # 5 of 8: a batch of 4 and one of 1 take 4
    assert batch_size(5, {1: 1.0, 4: 3.0, 8: 5.0}) == 4


def test_less_than_the_smallest_size_is_padded() -> None:
    assert batch_size(3, {4: 1.0, 8: 2.0}) == 3


@given(
    waiting=st.integers(1, 200),
    seconds=st.dictionaries(st.integers(1, 128), st.floats(1e-6, 10), min_size=1, max_size=8),
)
def test_something_runs_and_never_more_than_waits_or_fits(waiting: int, seconds: dict[int, float]) -> None:
    assert 1 <= batch_size(waiting, seconds) <= min(waiting, max(seconds))


@pytest.mark.parametrize(("rows", "size"), [(1, 1), (2, 2), (3, 4), (5, 8), (8, 8)])
def test_rows_are_padded_to_the_next_size(rows: int, size: int) -> None:
    assert padded(rows, (1, 2, 4, 8)) == size


def test_more_rows_than_the_largest_size_are_refused() -> None:
    with pytest.raises(ValueError, match="9 rows, batches have at most 8"):
        padded(9, (1, 2, 4, 8))
