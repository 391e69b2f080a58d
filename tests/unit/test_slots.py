"""A slow target never holds up another: how many calls each may have."""

from __future__ import annotations

from services.notifier.slots import EACH, SLOW, START, TOTAL, Slots


def test_a_quick_target_gets_more_and_more_up_to_a_bound() -> None:
    slots = Slots()
    for _ in range(20):
        slots.take("quick")
        slots.give("quick", 0.1)
    assert slots.rooms() == {"quick": EACH}


def test_calls_under_way_take_room() -> None:
    slots = Slots()
    for _ in range(START):
        slots.take("new")
    assert slots.rooms() == {"new": 0}
    assert slots.free == TOTAL - START


def test_a_slow_answer_sets_a_target_back_to_one_call() -> None:
    slots = Slots()
    for seconds in (0.1, 0.1, 0.1, 15.0):
        slots.take("tired")
        slots.give("tired", seconds)
    assert slots.rooms() == {"tired": 1}
    slots.take("tired")
    slots.give("tired", 0.1)
    assert slots.rooms() == {"tired": 2}


def test_any_number_of_dead_targets_leaves_half_of_the_slots() -> None:
    slots = Slots()
    dead = [f"dead{n}" for n in range(100)]
    for target in dead:
        slots.take(target)
        slots.give(target, 15.0)
    assert sum(slots.rooms().values()) == TOTAL // 2
    for target, room in slots.rooms().items():
        for _ in range(room):
            slots.take(target)
    assert sum(slots.rooms().values()) == 0
    assert slots.free == TOTAL // 2


def test_dead_targets_take_turns() -> None:
    slots = Slots()
    called = set()
    for target in (f"dead{n}" for n in range(40)):
        slots.take(target)
        slots.give(target, 15.0)
    for _ in range(3):
        now = [target for target, room in slots.rooms().items() if room]
        called.update(now)
        for target in now:
            slots.take(target)
        for target in now:
            slots.give(target, 15.0)
    assert len(called) == 40


def test_a_slow_provider_keeps_four_calls() -> None:
    slots = Slots()
    slots.take("account:desk-whatsapp")
    slots.give("account:desk-whatsapp", SLOW + 1)
    assert slots.rooms()["account:desk-whatsapp"] == 4
