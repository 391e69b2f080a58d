"""Whose messages these are: the pure part, case by case."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from services.router import merge_fields
from services.router.recognising import Owner, Recognised, recognise
from tests.builders import message, uuid
from tests.people import identity, who

A, B, C = uuid(1), uuid(2), uuid(3)


def seen(known: dict[str, Any], *senders: Any, **more: Any) -> Recognised:
    found = {
        identity(name): owner if isinstance(owner, Owner) else Owner(owner)
        for name, owner in known.items()
    }
    return recognise([message(sender=sender) for sender in senders], found, set(), **more)


def pairs(result: Recognised) -> list[tuple[UUID, UUID]]:
    return [(meeting.winner, meeting.loser) for meeting in result.meetings]


def test_the_older_record_stays() -> None:
    for order in (("x:1", "x:2"), ("x:2", "x:1")):
        assert pairs(seen({"x:1": A, "x:2": B}, who(*order))) == [(A, B)]


def test_a_chain_of_meetings_ends_at_one_record() -> None:
    known = {"x:1": C, "x:2": B, "x:3": A}
    result = seen(known, who("x:1", "x:2"), who("x:2", "x:3"))
    assert sorted(pairs(result)) == [(A, B), (A, C)]
    assert set(result.people.values()) == {A}
    assert set(result.owners.values()) == {A}


def test_what_a_batch_makes_and_merges_was_never_on_record() -> None:
    result = seen({"x:1": A}, who("x:2"), who("x:3"), who("x:3", "x:2"), who("x:2", "x:1"))
    assert pairs(result) == []
    assert set(result.people.values()) == {A}
    assert {i.value: v for i, v in result.new.items()} == {"2": (A, True), "3": (A, True)}


def test_new_identities_are_verified_by_proof_alone() -> None:
    said = seen({}, who("x:1", proven=False))
    assert [verified for _, verified in said.new.values()] == [False]
    proved = seen({}, who("x:1", proven=False), who("x:1"))
    assert [verified for _, verified in proved.new.values()] == [True]


@pytest.mark.parametrize("order", [("x:1", "x:2"), ("x:2", "x:1")])
def test_an_unproven_identity_of_a_fuller_record_is_contested(order: tuple[str, str]) -> None:
    known = {"x:1": A, "x:2": Owner(B, firm=False)}
    result = seen(known, who(*order))
    assert pairs(result) == []
    (conflict,) = result.conflicts
    assert (conflict.customer, conflict.other, conflict.why) == (A, B, "unproven")
    assert identity("x:2") not in result.proven
    assert set(result.people.values()) == {A}, "the proven one is who writes"


def test_those_a_person_took_apart_stay_apart() -> None:
    bars = frozenset({frozenset((A, C))})
    known = {"x:1": A, "x:2": B, "x:3": C}
    result = seen(known, who("x:1", "x:2"), who("x:2", "x:3"), bars=bars)
    assert pairs(result) == [(A, B)], "B went to A, and so the bar holds for it too"
    assert [(c.customer, c.other, c.why) for c in result.conflicts] == [(A, C, "unmerged")]


def test_who_is_being_erased_is_merged_with_nobody() -> None:
    bars = frozenset({frozenset((B,))})
    result = seen({"x:1": A, "x:2": B}, who("x:1", "x:2"), bars=bars)
    assert pairs(result) == []
    assert [c.why for c in result.conflicts] == ["to_be_erased"]


def test_what_is_shared_tells_nobody() -> None:
    shared = {"is_shared": lambda i: i.value == "9"}
    known = {"x:1": A, "x:9": B}
    assert pairs(seen(known, who("x:9", "x:1"), **shared)) == []
    assert set(seen(known, who("x:9", "x:1"), **shared).people.values()) == {A}
    assert set(seen(known, who("x:9"), **shared).people.values()) == {B}
    assert identity("x:9") not in seen({"x:1": A}, who("x:1", "x:9"), **shared).new


def test_what_is_said_is_a_claim_and_marked_where_only_it_finds() -> None:
    known = {"x:1": A, "x:2": B}
    for sender, customer, marked, claims in (
        (who("x:1", "x:2", proven=False), A, False, {"x:2"}),
        (who("x:8", "x:2", proven=False), B, True, {"x:8"}),
        (who("x:1", proven=False, customer_ref="5"), A, False, {"customer_no:5"}),
    ):
        result = seen(known, sender)
        assert set(result.people.values()) == {customer}
        assert bool(result.marked) is marked
        assert {str(claim.identity) for claim in result.claims} == claims
        assert (result.new, result.meetings, result.proven) == ({}, [], set())


def test_a_former_number_leaves_and_may_come_back_with_another() -> None:
    changed = who("x:2", former=identity("x:1"))
    result = seen({"x:1": A}, changed)
    assert result.gone == {identity("x:1")}
    assert result.owners == {identity("x:2"): A}
    stranger = seen({"x:1": A}, changed, who("x:1"))
    assert stranger.gone == set()
    ((taken, (owner, _)),) = stranger.taken_over.items()
    assert taken == identity("x:1")
    assert owner not in (A,)


def test_fields_are_taken_only_where_there_was_nothing() -> None:
    empty = dict.fromkeys(merge_fields.FIELDS, "") | {"internal": False, "opted_out": False}
    one = empty | {"name": "Ada"}
    other = empty | {"name": "Bo", "language": "nl", "opted_out": True}
    assert merge_fields.taken(one, other) == {"language": "nl", "opted_out": True}


def test_undoing_gives_back_what_nobody_changed_since() -> None:
    empty = dict.fromkeys(merge_fields.FIELDS, "") | {"internal": False, "opted_out": False}
    took = {"name": "Bo", "language": "nl", "opted_out": True}
    now = empty | took | {"name": "Ada"}
    fields, gives = merge_fields.given_back(now, took, [])
    assert fields == empty | {"name": "Ada"}
    assert gives == []
    third = empty | {"name": "Cy", "language": "de"}
    fields, gives = merge_fields.given_back(empty | took, took, [third])
    assert (fields["name"], fields["language"], fields["opted_out"]) == ("Cy", "de", False)
    assert gives == [{"name": "Cy", "language": "de"}]
