"""Many replayed cases in one report, counted by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from services.router.trial.differences import Differences
from services.router.trial.replaying import Refusal, Replayed, Trial
from services.router.trial.retelling import History
from services.router.trial.side import Clock, Promise, Routed, Side
from tests.builders import NOON, after, example_policy, uuid


def differences() -> Differences:
    policy = example_policy()
    return Differences(Trial(policy, policy, NOON, after(days=1)))


def one(number: int, then: Side | None = None, now: Side | None = None, **more: Any) -> Replayed:
    history = History(uuid(number), [], {})
    return Replayed(history, then or Side(), now or Side(), **more)


def promised(due: timedelta, **more: Any) -> Side:
    clock = Clock("first_response", NOON)
    return Side(promised={clock: Promise(NOON + due, counted=True, **more)})


def test_deadlines_move_by_the_middle_of_their_shifts() -> None:
    found = differences()
    hour = timedelta(hours=1)
    for number, shift in enumerate((-10, -30, -20, 0, 90, 0.005)):
        moved = promised(hour + timedelta(minutes=shift))
        found.add(one(number, promised(hour), moved))
    found.add(one(9, promised(hour), Side()))
    found.add(one(10, Side(), promised(hour)))
    (row,) = found.report(1).deadlines
    assert (row.earlier.count, row.earlier.median) == (3, "20m")
    assert (row.later.count, row.later.median) == (1, "90m")
    assert (row.unchanged, row.dropped.count, row.added.count) == (2, 1, 1)
    assert row.dropped.examples == [f"/v1/cases/{uuid(9)}"]


def test_breaches_are_compared_promise_by_promise() -> None:
    found, hour = differences(), timedelta(hours=1)
    for number, (before, after_) in enumerate(((1, 1), (1, 0), (0, 1), (0, 0), (0, 1))):
        found.add(
            one(
                number, promised(hour, breached=bool(before)), promised(hour, breached=bool(after_))
            )
        )
    late = promised(hour, breached=True, late=True)
    found.add(one(7, late, promised(hour)))
    (row,) = found.report(1).breaches
    assert (row.before, row.after) == (2, 3)
    assert (row.avoided.count, row.caused.count) == (1, 2)
    assert row.before - row.avoided.count + row.caused.count == row.after
    assert row.avoided.examples == [f"/v1/cases/{uuid(1)}"]
    assert (row.arrived_late_before, row.arrived_late_after) == (1, 0)


def test_what_was_promised_before_the_time_asked_for_is_not_counted() -> None:
    found = differences()
    sides = [promised(timedelta(hours=hours), breached=True) for hours in (1, 2)]
    for side in sides:
        for promise in side.promised.values():
            promise.counted = False
    found.add(one(1, *sides))
    report = found.report(1)
    assert (report.deadlines, report.breaches) == ([], [])


def test_ways_are_counted_by_team_and_rule() -> None:
    found = differences()
    ways = (
        (Routed("a", "one"), Routed("b", "two")),
        (Routed("a", "one"), Routed("b", "two")),
        (Routed("a", "one"), Routed("a", "renamed")),
        (Routed("a", ""), Routed("a", "one")),  # it stayed, and stays
        (Routed("a", ""), Routed("b", "")),  # as when it was opened, which is told there
        (Routed("a", "one"), Routed("a", "one")),
    )
    for number, (before, now) in enumerate(ways):
        found.add(one(number, Side(routed={NOON: before}), Side(routed={NOON: now})))
    report = found.report(1)
    rows = [(row.from_team, row.to_team, row.to_rule, row.count) for row in report.routing]
    assert rows == [("a", "b", "two", 2), ("a", "a", "renamed", 1)]
    assert report.rerouted.count == 2
    routed = {row.team: (row.routed_before, row.routed_after) for row in report.teams}
    assert routed == {"a": (4, 3), "b": (0, 2)}


def test_load_is_by_the_local_hour_of_the_candidate() -> None:
    """Amsterdam is an hour ahead in November and two in July."""
    found = differences()
    july = NOON.replace(month=7)
    heard = [(NOON, "a"), (NOON, "a"), (july, "b"), (NOON.replace(hour=23, minute=30), "a")]
    found.add(one(1, Side(heard=heard), Side()))
    report = found.report(1)
    load = {row.team: row.before for row in report.load}
    assert (load["a"][10], load["a"][0], sum(load["a"])) == (2, 1, 3)
    assert (load["b"][11], sum(load["b"])) == (1, 1)
    assert all(sum(row.after) == 0 for row in report.load)
    assert report.messages == 4
    assert not report.same


def test_examples_are_few_and_refusals_are_one_row_a_reason() -> None:
    found = differences()
    for number in range(8):
        refusal = Refusal("handoff.offered", "unknown-team", "there is no team x")
        found.add(one(number, refused=[refusal, refusal]))
    found.fail(UUID(int=99), 5, KeyError("secret words"))
    rows = found.report(2).not_replayed
    assert [(row.asked, row.count, len(row.examples)) for row in rows] == [
        ("handoff.offered", 16, 5),
        ("the whole case", 1, 1),
    ]
    assert "secret" not in rows[1].reason, "an error's words may be a customer's"


def test_rules_without_a_match_are_named_and_nothing_is_the_same() -> None:
    found = differences()
    found.add(one(1, rules={"tracking"}, levels={"chat"}, kept=True))
    report = found.report(1)
    assert report.never_matched.routing == ["missed call", "damage", "everything else"]
    assert "chat" not in report.never_matched.service_levels
    assert (report.kept.count, report.same) == (1, True)
