"""A case people send to and fro without a result stays with a named owner. Pure."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from services.router import commands as cmd
from services.router.policy import Policy
from shared import events as ev
from shared.errors import Conflict
from tests.builders import NOON, Story, after, mail, message

TEXT = """
name: ping-pong
calendars: {always: {hours: 24/7}}
supervisors: {notify: [{webhook: "https://hooks.example.org/boss"}]}
teams:
  one: {fallback: two, notify: [{webhook: "https://hooks.example.org/one"}]}
  two: {}
  three: {}
  owner: {notify: [{webhook: "https://hooks.example.org/owner"}]}
routing: [{name: all, team: one}]
service_levels:
  - {name: all, calendar: always, first_response: 4h}
on_breach: {notify: [], reassign: fallback}
switches:
  - {from: whatsapp, to: email, reasons: [agent], consent: none}
  - {from: email, to: whatsapp, reasons: [agent], consent: none}
ping_pong: {max_hops: 3, owner: supervisors}
"""
POLICY = Policy.parse(TEXT).with_version(1)
OWNED = Policy.parse(TEXT.replace("owner: supervisors", "owner: owner")).with_version(1)


def begun(policy: Policy = POLICY) -> Story:
    story = Story(policy)
    story.hear(message())
    return story


def offer(story: Story, **to: Any) -> UUID:
    handoff = uuid4()
    story.tell(cmd.OfferHandoff(handoff, "jo", "agent", **to), after(minutes=1))
    return handoff


def send(story: Story, team: str, supervisor: bool = False) -> list[Any]:
    """A person's transfer, accepted."""
    handoff = offer(story, to_team=team, supervisor=supervisor)
    return story.tell(cmd.AcceptHandoff(handoff, "kim"), after(minutes=2))


def frozen(happened: list[Any]) -> ev.CaseFrozen | None:
    return next((event for event in happened if isinstance(event, ev.CaseFrozen)), None)


def test_there_and_back_without_a_result_freezes_it() -> None:
    story = begun()
    assert frozen(send(story, "two")) is None
    found = frozen(send(story, "one"))
    assert found is not None
    assert found.owner == "supervisors"
    assert found.trail == ("one → two", "two → one")
    assert found.reason == "from one to two and back without a result in between"
    assert [target.address for target in found.notify] == ["https://hooks.example.org/boss"]
    assert (story.case.frozen, story.case.team) == ("supervisors", "one")


def test_another_channel_in_between_is_no_result() -> None:
    story = begun()
    send(story, "two")
    switch = offer(story, to_channel="email", address="ada@example.org")
    story.hear(mail("R-", at=after(minutes=3)), handoff_id=switch)
    assert frozen(send(story, "one"))


def test_a_final_result_in_between_is_work_done() -> None:
    story = begun()
    send(story, "two")
    story.tell(cmd.RecordResult("kim", "quote", "final"), NOON)
    assert frozen(send(story, "one")) is None
    assert frozen(send(story, "two")), "but not for the way after that"


def test_a_newer_version_is_a_result_and_a_draft_is_none() -> None:
    story = begun()
    story.tell(cmd.RecordResult("jo", "quote", "final"), NOON)
    send(story, "two")
    story.tell(cmd.RecordResult("kim", "quote", "final"), NOON)
    assert frozen(send(story, "one")) is None
    story = begun()
    send(story, "two")
    story.tell(cmd.RecordResult("kim", "quote", "draft"), NOON)
    assert frozen(send(story, "one"))


def test_round_and_round_is_over_the_budget() -> None:
    story = begun()
    for team in ("two", "three", "owner"):
        assert frozen(send(story, team)) is None
    found = frozen(send(story, "two"))
    assert found is not None
    assert found.reason == "4 hops, and at most 3 are allowed"


def test_channels_count_in_the_budget() -> None:
    story = begun()
    for team in ("two", "three"):
        send(story, team)
    switch = offer(story, to_channel="email", address="ada@example.org")
    assert frozen(story.hear(mail("R-", at=after(minutes=3)), handoff_id=switch)) is None
    switch = offer(story, to_channel="whatsapp", address="+31612345678")
    assert frozen(story.hear(message("R-", at=after(minutes=4)), handoff_id=switch))
    assert story.case.frozen == "supervisors"


def test_what_nobody_chose_does_not_count() -> None:
    story = begun()
    story.tell(cmd.PassTime(after(hours=4)), after(hours=4))
    assert story.case.team == "two", "moved by the breach"
    assert frozen(send(story, "one")) is None
    story = begun()
    started = cmd.OfferHandoff(uuid4(), "regie", "agent", to_channel="email", automatic=True)
    story.tell(started, NOON)
    story.hear(mail("R-"), handoff_id=started.handoff_id)
    assert story.case.hops == ()


def test_a_named_team_owns_it_and_its_clocks_run_on() -> None:
    story = begun(OWNED)
    send(story, "two")
    due = story.case.effective_due()
    happened = send(story, "one")
    found = frozen(happened)
    assert found is not None
    assert [target.address for target in found.notify] == ["https://hooks.example.org/owner"]
    moved = happened[-1]
    assert isinstance(moved, ev.CaseAssigned)
    assert (moved.team, moved.automatic) == ("owner", True)
    assert (story.case.team, story.case.frozen) == ("owner", "owner")
    assert story.case.effective_due() == due
    broken = story.tell(cmd.PassTime(after(hours=4)), after(hours=4))
    assert any(isinstance(event, ev.DeadlineBreached) for event in broken)


def test_frozen_it_is_moved_by_a_supervisor_only() -> None:
    story = begun()
    send(story, "two")
    send(story, "one")
    for to in ({"to_team": "two"}, {"to_channel": "email", "address": "ada@example.org"}):
        with pytest.raises(Conflict, match="supervisors") as refused:
            offer(story, **to)
        assert (refused.value.problem, refused.value.extra) == ("frozen", {"owner": "supervisors"})
    assert frozen(send(story, "three", supervisor=True)) is None
    assert (story.case.team, story.case.frozen) == ("three", "supervisors")


def test_other_transfers_on_offer_end_with_the_freeze() -> None:
    story = begun()
    send(story, "two")
    other = offer(story, to_team="three")
    switch = offer(story, to_channel="email", address="ada@example.org")
    assert ev.HandoffExpired(handoff_id=other) in send(story, "one")
    assert [each.handoff_id for each in story.case.offers] == [switch]


def test_thawed_it_begins_anew() -> None:
    story = begun()
    with pytest.raises(Conflict) as refused:
        story.tell(cmd.Thaw("ann", "sorted out"), NOON)
    assert refused.value.problem == "not-frozen"
    send(story, "two")
    send(story, "one")
    (event,) = story.tell(cmd.Thaw("ann", "sorted out"), NOON)
    assert event == ev.CaseThawed(by="ann", reason="sorted out")
    assert frozen(send(story, "two")) is None
    assert frozen(send(story, "one"))
    assert story.case.hopped == 4, "the journey has all its hops"


def test_reopened_it_begins_anew() -> None:
    story = begun()
    send(story, "two")
    story.tell(cmd.Close("kim"), NOON)
    story.tell(cmd.Reopen("kim"), NOON)
    assert frozen(send(story, "one")) is None
