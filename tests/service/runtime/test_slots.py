import threading
from collections.abc import Iterator

import pytest

from service.runtime.slots import Slots


@pytest.fixture
def slots() -> Iterator[Slots]:
    slots = Slots(2)
    yield slots
    slots.close()


def test_each_slot_is_claimed_once(slots: Slots) -> None:
    claimed = [slots.claim(lambda: None) for _ in range(3)]
    assert [slot and slot.index for slot in claimed] == [0, 1, None]
    assert slots.running == 2


def test_the_slot_that_has_been_free_longest_is_next(slots: Slots) -> None:
    used = []
    for _ in range(4):  # one batch at a time: the slots of two GPUs take turns
        slot = slots.claim(print)
        assert slot is not None
        used.append(slot.index)
        slots.release(slot)
    assert used == [0, 1, 0, 1]


def test_who_finds_none_free_gets_its_turn_when_one_is(slots: Slots) -> None:
    one, _ = slots.claim(print), slots.claim(print)
    turns: list[str] = []
    assert slots.claim(lambda: turns.append("a")) is None
    assert turns == []
    assert one is not None
    slots.release(one)
    assert turns == ["a"]
    slots.release(slots.all[1])
    assert turns == ["a"]


def test_turns_come_in_the_order_of_asking_and_one_a_slot(slots: Slots) -> None:
    taken = [slots.claim(print), slots.claim(print)]
    turns: list[str] = []

    def greedy(name: str) -> None:
        turns.append(name)
        slots.claim(print)

    def first() -> None:
        greedy("first")

    def second() -> None:
        greedy("second")

    for turn in (first, second, first):  # asking twice is asking once
        assert slots.claim(turn) is None
    for slot in taken:
        assert slot is not None
        slots.release(slot)
    assert turns == ["first", "second"]
    assert slots.running == 2


def test_a_turn_that_is_not_taken_goes_to_the_next(slots: Slots) -> None:
    taken = [slots.claim(print), slots.claim(print)]
    turns: list[str] = []

    def lost_its_work() -> None:
        turns.append("nothing left")

    def waiting() -> None:
        turns.append("takes it")

    slots.claim(lost_its_work)
    slots.claim(waiting)
    assert taken[0] is not None
    slots.release(taken[0])
    assert turns == ["nothing left", "takes it"]


def test_a_slot_has_one_thread_of_its_own(slots: Slots) -> None:
    names = [slot.thread.submit(threading.get_ident).result() for slot in slots.all for _ in range(3)]
    assert len(set(names[:3])) == len(set(names[3:])) == 1
    assert names[0] != names[3]
