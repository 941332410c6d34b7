import asyncio

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.engine.queue import Entry, RequestQueue


def entry_of(rows: int, width: int, loop: asyncio.AbstractEventLoop) -> Entry:
    return Entry(np.zeros((rows, width)), loop.create_future(), deadline=1.0, queued_at=0.0)


#: (rows, width of a row, whether it is lost in the end)
ENTRIES = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 3), st.booleans()), min_size=1, max_size=12)


@given(entries=ENTRIES, room=st.integers(1, 8), batches=st.integers(0, 6))
def test_elements_are_those_of_the_rows_that_wait(
    entries: list[tuple[int, int, bool]], room: int, batches: int
) -> None:
    loop, waiting = asyncio.new_event_loop(), RequestQueue()
    made = [entry_of(rows, width, loop) for rows, width, _ in entries]
    lost = {entry for entry, (_, _, is_lost) in zip(made, entries, strict=True) if is_lost}
    for entry in made:
        waiting.append(entry)
    for _ in range(batches):
        if waiting:
            waiting.compose(lambda shape, n: min(n, room))
            assert waiting.elements == sum(entry.left * entry.item_size for entry in made)
    dropped = waiting.drop(lambda entry: entry in lost)
    assert set(dropped) == {entry for entry in lost if entry.left}
    assert waiting.elements == sum(entry.left * entry.item_size for entry in made if entry not in lost)
    assert len(waiting) == sum(1 for entry in made if entry.left and entry not in lost)
    loop.close()


def test_a_batch_is_of_the_oldest_requests_shape() -> None:
    loop, waiting = asyncio.new_event_loop(), RequestQueue()
    first, other, second = (entry_of(1, width, loop) for width in (2, 3, 2))
    for entry in (first, other, second):
        waiting.append(entry)
    assert [part.entry for part in waiting.compose(lambda shape, n: n)] == [first, second]
    assert waiting.oldest is other
    loop.close()
