"""Opening by hand, internal requests, forms, splitting and correcting: the decisions, alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.router import commands as cmd
from services.router import splitting
from services.router.evolve import evolve
from services.router.forms import named
from services.router.policy import Policy
from services.router.rules.conditions import Facts
from services.router.taking import facts_of
from shared import events as ev
from shared.errors import Conflict, Invalid
from shared.events import Identity, MessageReceived, Sender
from tests.builders import NOON, Story, after, example_policy, mail, message

TEAMS = ("parcels", "claims", "frontdesk")


def folds(story: Story) -> None:
    case = None
    for change in story.history:
        case = evolve(case, change)
    assert case == story.case


def kinds(happened: list[Any]) -> list[str]:
    return [ev.type_name(type(event).__name__) for event in happened]


# --- opening -------------------------------------------------------------------------------------


def begin(story: Story, **more: Any) -> cmd.OpenCase:
    values: dict[str, Any] = {
        "agent": "jo", "customer": story.customer, "account": "support-mail", "channel": "email",
        "subject": "Your parcel", "text": "Your parcel waits",
        "identity": Identity(scheme="email", value="bo@example.org"),
    }  # fmt: skip
    return cmd.OpenCase(**(values | more))


def test_nobody_waits_where_an_agent_begins() -> None:
    story = Story()
    happened = story.tell(begin(story), NOON)
    assert kinds(happened)[:2] == ["case.opened", "case.claimed"]
    assert {e.metric for e in happened if isinstance(e, ev.DeadlineStarted)} == {
        "resolution", "update",
    }  # fmt: skip
    assert (story.case.team, story.case.agent, story.case.unanswered) == ("parcels", "jo", ())
    assert story.decided is not None
    assert {change.actor for change in story.decided.changes} == {"jo"}
    folds(story)


@pytest.mark.parametrize("team", TEAMS)
def test_a_team_that_is_named_stands(team: str) -> None:
    story = Story()
    story.tell(begin(story, team=team), NOON)
    assert story.case.team == team


def test_a_refused_first_message_opens_nothing() -> None:
    story = Story()
    reply = cmd.Reply(uuid4(), "jo", "Hello", 0, channel="whatsapp")
    shut = begin(story, channel="whatsapp", account="desk-whatsapp", reply=reply)
    with pytest.raises(Conflict):
        story.tell(shut_since(shut, NOON), NOON)
    assert story.decided is None


def shut_since(command: cmd.OpenCase, at: datetime) -> cmd.OpenCase:
    return replace(command, reply_window_closes_at=at)


def test_a_team_nobody_has_is_named() -> None:
    story = Story()
    with pytest.raises(Invalid, match="frontdesk"):
        story.tell(begin(story, team="nobody"), NOON)


# --- children ------------------------------------------------------------------------------------


def child(story: Story, number: int, closed: bool = False, at: datetime = NOON) -> list[Any]:
    return story.tell(cmd.NoteChild(UUID(int=number), "claims", closed, agent="jo"), at)


def answered_story() -> Story:
    story = Story()
    story.hear(message())
    story.tell(cmd.Reply(uuid4(), "jo", "", story.case.version, outcome="reached"), NOON)
    return story


def test_it_waits_until_the_last_child_is_closed() -> None:
    story = answered_story()
    assert kinds(child(story, 1))[:2] == ["child.opened", "case.paused"]
    child(story, 2)
    assert story.case.clock("resolution").state == "running", "only a customer's wait stops it"
    assert kinds(child(story, 1, closed=True)) == ["child.closed"]
    assert story.case.state == "waiting_internal"
    assert kinds(child(story, 2, closed=True))[:2] == ["child.closed", "case.resumed"]
    assert story.case.state == "open"
    folds(story)


def test_told_twice_it_happened_once() -> None:
    story = answered_story()
    child(story, 1)
    assert child(story, 1) == []
    child(story, 1, closed=True)
    assert child(story, 1, closed=True) == []


def test_a_closed_parent_is_told_and_stays_closed() -> None:
    story = answered_story()
    child(story, 1)
    story.tell(cmd.Close("jo"), NOON)
    assert kinds(child(story, 1, closed=True)) == ["child.closed"]
    assert kinds(child(story, 2)) == ["child.opened"]
    assert story.case.state == "closed"


def test_a_result_of_the_child_is_the_parents_next_version() -> None:
    story = answered_story()
    story.tell(cmd.InheritResult("quote", {"sum": 5}), NOON)
    story.tell(cmd.InheritResult("quote", {"sum": 6}), NOON)
    (result,) = story.case.results
    assert (result.version, result.state, result.finals) == (2, "final", 2)


# --- forms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draft", "product", "name", "data"),
    [
        ({"result": "quote", "sum": 5}, "", "quote", {"sum": 5}),
        ({"name": "quote", "fields": {"sum": 5}}, "", "quote", {"sum": 5}),
        ({"name": "order_number", "number": 5}, "claims", "order_number", {"number": 5}),
        ({"name": "Noor", "city": "Ede"}, "", "form", {"name": "Noor", "city": "Ede"}),
        ({"city": "Ede"}, "parcels", "tracking_number", {"city": "Ede"}),
        ({"city": "Ede"}, "claims", "form", {"city": "Ede"}),
        ({"result": " ", "city": "Ede"}, "", "form", {"result": " ", "city": "Ede"}),
        ({"fields": {"city": "Ede"}, "complete": True}, "", "form", {"city": "Ede"}),
    ],
)
def test_what_a_draft_is_called(
    draft: dict[str, Any], product: str, name: str, data: dict[str, Any]
) -> None:
    assert named(draft, example_policy(), product) == (name, data)


def form(at: datetime = NOON, **given: Any) -> MessageReceived:
    values: dict[str, Any] = {"account": "service-portal", "channel": "portal", "draft": {"a": 1}}
    return mail("", at=at, **(values | given))


def test_a_form_is_final_once_it_is_sent_whole() -> None:
    story = Story()
    states = []
    for kind, draft in [("form_abandoned", {"a": 1}), ("message", {"a": 1}), ("message", {"b": 1})]:
        happened = story.hear(form(kind=kind, draft=draft))
        states += [(e.version, e.state) for e in happened if isinstance(e, ev.ResultRecorded)]
    assert states == [(1, "draft"), (2, "final"), (3, "draft")]
    assert "result.recorded" in kinds(story.hear(form(draft={"complete": True, "a": 2})))
    assert story.case.results[0].state == "final"


def test_a_stranger_in_the_thread_fills_in_nothing() -> None:
    story = Story()
    story.hear(form(kind="form_abandoned"))
    assert "result.recorded" not in kinds(story.hear(form(), marked="other_sender"))


def call_story() -> Story:
    """An abandoned form, with a call on offer."""
    story = Story()
    story.hear(form(kind="form_abandoned"))
    story.tell(
        cmd.OfferHandoff(uuid4(), "regie", "form_abandoned", to_channel="phone", automatic=True),
        NOON,
    )
    return story


def accepted(happened: list[Any]) -> list[ev.HandoffAccepted]:
    return [event for event in happened if isinstance(event, ev.HandoffAccepted)]


def test_a_call_asked_for_accepts_the_one_on_offer() -> None:
    story = call_story()
    asked = form(kind="callback_requested", draft=None, attributes={"phone": "+31612345678"})
    (event,) = accepted(story.hear(asked))
    assert event.consent == {
        "by": "customer", "at": NOON.isoformat(), "how": "asked for a call on portal",
    }  # fmt: skip
    assert story.case.routes["phone"].identity.value == "+31612345678"
    assert story.case.offers == ()
    folds(story)


def test_a_call_is_not_accepted_without_a_number_by_a_stranger_or_too_late() -> None:
    phone = {"phone": "+31612345678"}
    for given, marked, at in (
        ({}, "", NOON),
        (phone, "other_sender", NOON),
        (phone, "", after(days=30)),
    ):
        asked = form(at=at, kind="callback_requested", draft=None, attributes=given)
        assert accepted(call_story().hear(asked, marked=marked)) == []


def test_a_caller_is_called_on_their_own_number() -> None:
    known = Sender(
        identities=(Identity(scheme="e164", value="+31600000001"),), authentication="asserted"
    )
    story = call_story()
    (event,) = accepted(story.hear(form(kind="callback_requested", draft=None, sender=known)))
    assert event.address == "+31600000001"


def test_the_house_is_the_house_whoever_writes() -> None:
    story = Story()
    story.hear(mail("May we?", account="colleagues", channel="internal", address="kim@other.org"))
    assert story.case.internal
    assert story.case.clock("first_response").rule == "internal"


# --- splitting -----------------------------------------------------------------------------------


def moved(story: Story, received: MessageReceived) -> cmd.Moved:
    added = next(
        change.event
        for change in story.history
        if isinstance(change.event, ev.MessageAdded) and change.event.message_id == received.id
    )
    facts: Facts = facts_of(received, story.customer)
    waits = any(m.message_id == received.id for m in story.case.unanswered)
    return cmd.Moved(added, facts, waits)


def split(story: Story, *messages: MessageReceived, at: datetime) -> Story:
    """The case these go to."""
    new = Story(story.policy)
    new.customer = story.customer
    ids = tuple(message.id for message in messages)
    going = tuple(moved(story, message) for message in messages)
    promised = splitting.promised(story.case, ids)
    story.tell(cmd.LeaveCase("jo", ids, new.id), at)
    new.tell(cmd.ReceiveMessages("jo", story.id, story.customer, going, promised=promised), at)
    return new


def test_each_goes_on_by_its_own_promise() -> None:
    story = Story()
    one, two = message("my parcel"), message("it came damaged", at=after(minutes=20))
    story.hear(one)
    story.hear(two)
    new = split(story, one, at=after(minutes=30))
    left, right = story.case.clock("first_response"), new.case.clock("first_response")
    assert (right.started_at, right.due_at) == (NOON, after(hours=1))
    assert (left.started_at, left.due_at) == (after(minutes=20), after(minutes=80))
    assert new.case.split_from == story.id
    folds(story)
    folds(new)


def test_a_tightened_promise_moves_with_its_message() -> None:
    story = Story()
    received = message("my parcel", channel="counter", kind="visit")
    story.hear(received)
    other = message("hello", at=after(minutes=1))
    story.hear(other)
    tight = story.case.clock("first_response").due_at
    slow = Story()
    ids = (received.id,)
    going = cmd.Moved(
        moved(story, received).event, Facts(channel="email", account="support-mail"), True
    )
    promised = splitting.promised(story.case, ids)
    slow.tell(cmd.ReceiveMessages("jo", story.id, story.customer, (going,), "", promised), NOON)
    assert slow.case.clock("first_response").due_at == tight == after(minutes=15)


def test_what_waits_longer_keeps_the_promise() -> None:
    story = Story()
    one, two = message("my parcel"), message("damaged", at=after(minutes=20))
    story.hear(one)
    story.hear(two)
    before = story.case.clock("first_response")
    assert splitting.promised(story.case, (two.id,)) is None
    split(story, two, at=after(minutes=30))
    assert story.case.clock("first_response") == before


def test_a_breach_that_nothing_waits_for_any_more_is_over() -> None:
    story = Story()
    one = message("my parcel")
    story.hear(one)
    story.tell(cmd.PassTime(after(hours=8)), after(hours=8))
    assert story.case.clock("first_response").state == "breached"
    new = split(story, one, at=after(hours=8))
    assert story.case.clock("first_response", "next_response") is None
    assert new.case.clock("first_response").due_at == after(hours=1), "not a minute later"


def test_replies_follow_what_they_alone_answered() -> None:
    story = Story()
    one, two = message("my parcel"), message("damaged", at=after(minutes=1))
    story.hear(one)
    first = cmd.Reply(uuid4(), "jo", "", story.case.version, outcome="reached")
    story.tell(first, NOON)
    story.hear(two)
    three = message("hello", at=after(minutes=2))
    story.hear(three)
    both = cmd.Reply(uuid4(), "jo", "", story.case.version, outcome="reached")
    story.tell(both, after(minutes=3))
    assert splitting.following(story.case, {one.id}) == (first.message_id,)
    assert splitting.following(story.case, {two.id}) == ()
    assert splitting.following(story.case, {two.id, three.id}) == (both.message_id,)


def test_an_answered_message_waits_for_nothing_where_it_goes() -> None:
    story = answered_story()
    (added,) = [c.event for c in story.history if isinstance(c.event, ev.MessageAdded)]
    new = Story()
    going = cmd.Moved(added, Facts(channel="whatsapp"), waits=False)
    new.tell(cmd.ReceiveMessages("jo", story.id, story.customer, (going,)), NOON)
    assert new.case.unanswered == ()
    assert new.case.clock("first_response") is None
    assert new.case.clock("resolution") is not None


def test_a_message_wakes_the_closed_case_it_goes_to_only_if_it_waits() -> None:
    waiting = Story()
    received = message("my parcel")
    waiting.hear(received)
    for waits, state in ((False, "closed"), (True, "open")):
        closed = answered_story()
        closed.tell(cmd.Close("jo"), NOON)
        going = cmd.Moved(moved(waiting, received).event, Facts(channel="whatsapp"), waits)
        closed.tell(cmd.ReceiveMessages("jo", waiting.id, closed.customer, (going,)), NOON)
        assert closed.case.state == state
        folds(closed)


# --- correcting ----------------------------------------------------------------------------------


RULES = """service_levels:
  - {name: urgent, when: 'priority == "urgent"', calendar: always, first_response: 10m}
  - {name: slow, when: 'product == "claims"', calendar: always, first_response: 9h}"""


def test_correcting_tightens_and_never_loosens() -> None:
    text = example_policy().text.replace("service_levels:", RULES, 1)
    story = Story(Policy.parse(text).with_version(1))
    story.hear(message())
    due = story.case.clock("first_response").due_at
    story.tell(cmd.ReviseCase("jo", product="claims"), after(minutes=1))
    assert story.case.clock("first_response").due_at == due
    corrected = cmd.ReviseCase("jo", priority="urgent", tags=("x", "x"))
    happened = story.tell(corrected, after(minutes=1))
    assert kinds(happened)[:2] == ["case.revised", "case.priority_changed"]
    assert story.case.clock("first_response").due_at == after(minutes=10)
    assert (story.case.product, story.case.tags) == ("claims", ("x",))
    folds(story)


def test_nothing_corrected_is_no_event() -> None:
    story = Story()
    story.hear(message())
    same = cmd.ReviseCase("jo", "parcels", "normal", ())
    assert story.tell(same, NOON) == []


def test_a_closed_case_is_corrected_and_promises_nothing() -> None:
    story = answered_story()
    story.tell(cmd.Close("jo"), NOON)
    assert kinds(story.tell(cmd.ReviseCase("jo", tags=("late",)), NOON)) == ["case.revised"]
