"""Rates are kept to exactly: the pure part."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.pacing import Bucket, Pace, Shares, Wish, room, share_out
from tests.builders import NOON, after

SECOND = timedelta(seconds=1)


def wishes(*limits: str) -> list[Wish]:
    """One for each; `a b` counts against both."""
    return [Wish(uuid4(), tuple(each.split())) for each in limits]


def shared(wanted: list[Wish], paces: dict[str, Pace], now: datetime = NOON) -> Shares:
    return share_out(wanted, paces, {name: Bucket() for name in paces}, now)


def test_a_burst_is_paid_for_with_a_silence() -> None:
    assert Pace.of(1, 6.0, burst=45) == Pace(45, timedelta(seconds=270.25))


def test_a_high_rate_is_kept_in_parts_and_is_the_same_in_all() -> None:
    pace = Pace.of(300, 1.0)
    assert pace == Pace(50, SECOND / 6 * 1.1)
    assert Pace.of(15, 900.0) == Pace(15, timedelta(seconds=900.25))


def test_what_is_left_of_a_limit() -> None:
    pace = Pace(3, SECOND)
    assert room(Bucket(), pace, NOON) == 3
    assert room(Bucket((NOON, NOON)), pace, NOON + SECOND / 2) == 1
    assert room(Bucket((NOON, NOON)), pace, NOON + SECOND) == 3
    assert room(Bucket((NOON,), paused_until=after(minutes=1)), pace, NOON + SECOND) == 0
    assert room(Bucket(paused_until=after(minutes=1)), None, after(minutes=1)) is None


def test_who_waits_for_one_limit_uses_up_none_of_another() -> None:
    paces = {"account": Pace(2, SECOND), "ada": Pace(1, 6 * SECOND), "bob": Pace(1, 6 * SECOND)}
    wanted = wishes("account ada", "account ada", "account ada", "account bob", "account bob")
    found = shared(wanted, paces)
    assert found.taken == {"account": 2, "ada": 1, "bob": 1}
    # each has a time of their own, and nobody waits for the others' reader
    assert [found.held.get(wish.id) for wish in wanted] == [
        None, NOON + 6 * SECOND, NOON + 12 * SECOND, None, NOON + 6 * SECOND,
    ]  # fmt: skip


def test_a_silence_asked_for_holds_everybody() -> None:
    paces = {"account": Pace(2, SECOND)}
    (wish,) = wishes("account")
    bucket = Bucket(paused_until=after(minutes=2))
    assert share_out([wish], paces, {"account": bucket}, NOON).held == {wish.id: after(minutes=2)}


@given(
    count=st.integers(1, 6),
    millis=st.lists(st.integers(0, 400), min_size=1, max_size=60),
)
def test_never_more_than_the_count_in_any_span_and_never_slower_than_allowed(
    count: int, millis: list[int]
) -> None:
    pace, bucket, left, now = Pace(count, SECOND), Bucket(), list[datetime](), NOON
    for pause in millis:
        now += timedelta(milliseconds=pause)
        (wish,) = wishes("account")
        found = share_out([wish], {"account": pace}, {"account": bucket}, now)
        if not found.held:
            left.append(now)
            bucket = bucket.taken(pace, now)
        else:
            assert sum(now - SECOND < at for at in left) == count
            assert found.held[wish.id] == left[-count] + SECOND
    for at in left:
        assert sum(at <= other < at + SECOND for other in left) <= count


@pytest.mark.parametrize("free", [0, 1, 2])
def test_the_room_is_what_would_be_let_through(free: int) -> None:
    pace, bucket = Pace(2, SECOND), Bucket((NOON,) * (2 - free))
    found = share_out(wishes(*["account"] * 3), {"account": pace}, {"account": bucket}, NOON)
    assert room(bucket, pace, NOON) == free == found.taken.get("account", 0)
