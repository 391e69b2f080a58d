"""A case that waits, news that is due, and what escalates before and after due. Pure."""

from __future__ import annotations

from uuid import uuid4

import pytest

from services.router import commands as cmd
from services.router.case import FAR
from services.router.firing import next_fire
from services.router.policy import Policy
from shared import events as ev
from shared.errors import Conflict, Invalid
from tests.builders import NOON, Story, after, mail, message

POLICY = Policy.parse("""
name: waiting
timezone: Europe/Amsterdam
calendars: {always: {hours: 24/7}}
supervisors: {notify: [{webhook: "https://hooks.example.org/boss"}]}
teams:
  desk: {calendar: always, fallback: back, notify: [{webhook: "https://hooks.example.org/desk"}]}
  back: {calendar: always}
routing:
  - {name: all, team: desk}
service_levels:
  - name: mail
    when: 'channel == "email"'
    calendar: always
    first_response: 4h
    resolution: 20h
    update_every: 10h
    warn_before: [1h]
  - name: chat
    calendar: always
    first_response: 2h
    resolution: 20h
    escalate:
      - {before: 30m, notify: [team]}
      - {before: 10m, notify: [supervisors], priority: raise}
      - {after: 1h, notify: [team, supervisors], priority: raise, reassign: fallback}
on_breach: {notify: []}
""").with_version(1)

BOSS = "https://hooks.example.org/boss"
DESK = "https://hooks.example.org/desk"


def answered(story: Story, minutes: float) -> None:
    """A reply, sent a minute after it was asked for."""
    reply = cmd.Reply(message_id=uuid4(), agent="jo", text="Soon.", answers=story.case.version)
    story.tell(reply, after(minutes=minutes))
    sent = cmd.ReportDelivery(
        message_id=reply.message_id, status="sent", at=after(minutes=minutes + 1)
    )
    story.tell(sent, after(minutes=minutes + 1))


def pass_time(story: Story, **amount: float) -> list[ev.Event]:
    return story.tell(cmd.PassTime(after(**amount)), after(**amount))


def started(story: Story) -> Story:
    story.hear(mail())
    return story


# --- pausing ---------------------------------------------------------------------------------


def test_waiting_for_colleagues_stops_no_clock() -> None:
    story = started(Story(POLICY))
    story.tell(cmd.Pause("jo", "waiting_internal"), after(minutes=5))
    assert story.case.state == "waiting_internal"
    assert {d.metric: d.state for d in story.case.running} == {
        "first_response": "running", "resolution": "running", "update": "running",
    }  # fmt: skip


def test_waiting_for_the_customer_is_not_for_who_owes_an_answer() -> None:
    story = started(Story(POLICY))
    with pytest.raises(Conflict, match="reply"):
        story.tell(cmd.Pause("jo", "waiting_customer"), after(minutes=5))


def test_waiting_for_the_customer_stops_the_resolution_alone() -> None:
    story = started(Story(POLICY))
    answered(story, 10)
    story.tell(cmd.Reopen("jo"), after(minutes=20))
    assert story.case.clock("resolution").state == "running"
    story.tell(cmd.Pause("jo", "waiting_customer"), after(minutes=30))
    assert {d.metric: d.state for d in story.case.running} == {
        "resolution": "paused", "update": "running",
    }  # fmt: skip


def test_a_pause_ends_when_its_time_comes_and_adds_what_it_took() -> None:
    story = started(Story(POLICY))
    answered(story, 10)
    story.tell(cmd.Reopen("jo"), after(minutes=11))  # at once: nothing stood still
    pause = cmd.Pause("jo", "waiting_customer", until=after(hours=2), reason="they look it up")
    story.tell(pause, after(hours=1))
    assert next_fire(story.case, POLICY, after(hours=1)) == after(hours=2)
    happened = pass_time(story, hours=2)
    assert isinstance(happened[0], ev.CaseResumed)
    assert story.case.state == "open"
    assert story.case.clock("resolution").due_at == after(hours=21)


def test_a_pause_into_the_past_is_refused() -> None:
    story = started(Story(POLICY))
    with pytest.raises(Invalid, match="has passed"):
        story.tell(cmd.Pause("jo", "waiting_internal", until=NOON), after(minutes=1))


def test_the_customers_word_ends_a_pause_and_its_alarm() -> None:
    story = started(Story(POLICY))
    answered(story, 10)
    story.tell(cmd.Pause("jo", "waiting_customer", until=after(hours=9)), after(minutes=12))
    story.hear(mail("Here it is", at=after(minutes=30)))
    assert (story.case.state, story.case.wakes_at) == ("open", None)


# --- news ------------------------------------------------------------------------------------


def test_news_is_due_from_the_first_message_and_again_from_each_sent_reply() -> None:
    story = started(Story(POLICY))
    assert story.case.clock("update").due_at == after(hours=10)
    answered(story, 60)
    assert story.case.clock("update").due_at == after(hours=11, minutes=1)
    assert [
        c.event.metric for c in story.history if isinstance(c.event, ev.DeadlineMet)
    ] == ["first_response", "update"]  # fmt: skip


def test_an_attempt_to_call_is_no_news() -> None:
    story = started(Story(POLICY))
    tried = cmd.Reply(
        message_id=uuid4(), agent="jo", text="", answers=story.case.version,
        channel="phone", outcome="no_answer",
    )  # fmt: skip
    story.tell(tried, after(hours=1))
    assert story.case.clock("update").due_at == after(hours=10)


def test_news_that_is_due_brings_the_case_back_into_the_inbox() -> None:
    story = started(Story(POLICY))
    answered(story, 0)
    assert story.case.state == "waiting_customer"
    assert story.case.effective_due() == (after(hours=10, minutes=1), "update")
    happened = pass_time(story, hours=9, minutes=1)  # an hour before: the reminder
    assert any(isinstance(e, ev.CaseResumed) for e in happened)
    assert story.case.state == "open"
    assert story.case.clock("resolution").state == "running"


def test_late_news_is_a_breach_that_ends_with_the_news() -> None:
    story = started(Story(POLICY))
    answered(story, 0)
    pass_time(story, hours=12)
    assert story.case.clock("update").state == "breached"
    answered(story, 13 * 60)
    assert story.case.clock("update").due_at == after(hours=23, minutes=1)
    assert len([d for d in story.case.running if d.metric == "update"]) == 1


def test_news_that_bounced_was_no_news() -> None:
    story = started(Story(POLICY))
    answered(story, 60)
    reply = story.case.answered[-1].message_id
    bounced = cmd.ReportDelivery(message_id=reply, status="failed", at=after(hours=2), code="550")
    story.tell(bounced, after(hours=2))
    assert story.case.clock("update").due_at == after(hours=10)


def test_a_closed_case_owes_no_news() -> None:
    story = started(Story(POLICY))
    answered(story, 60)
    story.tell(cmd.Close("jo"), after(hours=2))
    assert story.case.running == ()
    assert next_fire(story.case, POLICY, after(hours=2)) is None


# --- escalation ------------------------------------------------------------------------------


def told(events: list[ev.Event]) -> list[str]:
    return [
        target.address
        for event in events
        if isinstance(event, ev.DeadlineEscalated)
        for target in event.notify
    ]


def test_each_step_is_taken_once_and_tells_its_own() -> None:
    story = Story(POLICY)
    story.hear(message())
    assert next_fire(story.case, POLICY, NOON) == after(minutes=90)
    assert told(pass_time(story, minutes=90)) == [DESK]
    assert told(pass_time(story, minutes=91)) == []
    assert told(pass_time(story, minutes=110)) == [BOSS]
    assert story.case.priority == "high"
    assert story.case.team == "desk"


def test_steps_after_due_begin_with_the_breach_and_end_with_the_answer() -> None:
    story = Story(POLICY)
    story.hear(message())
    pass_time(story, hours=2)
    assert story.case.clock("first_response").state == "breached"
    assert next_fire(story.case, POLICY, after(hours=2)) == after(hours=3)
    assert told(pass_time(story, hours=3)) == [DESK, BOSS]
    assert (story.case.team, story.case.priority) == ("back", "urgent")


def test_no_step_after_the_answer() -> None:
    story = Story(POLICY)
    story.hear(message())
    pass_time(story, hours=2)
    answered(story, 125)
    assert told(pass_time(story, hours=4)) == []


def test_what_may_be_in_the_lag_is_not_escalated_after_due() -> None:
    story = Story(POLICY)
    story.hear(message())
    happened = story.tell(cmd.PassTime(after(minutes=100)), after(hours=4))
    assert told(happened) == [DESK, BOSS]  # what lay before due; the step after it waits
    assert story.case.clock("first_response").at_risk == "pipeline_lag"
    assert told(pass_time(story, hours=4, minutes=1)) == [DESK, BOSS]


def test_who_slept_through_two_steps_is_told_once() -> None:
    story = Story(POLICY)
    story.hear(message())
    happened = pass_time(story, minutes=115)
    assert told(happened) == [DESK, BOSS]
    assert [e.step for e in happened if isinstance(e, ev.DeadlineEscalated)] == [2]


def test_what_arrives_overdue_has_no_steps() -> None:
    story = Story(POLICY)
    story.hear(message(at=NOON, received_at=after(hours=5)), now=after(hours=5))
    assert told(pass_time(story, hours=9)) == []


def test_a_case_nobody_waits_for_has_no_alarm() -> None:
    story = Story(POLICY)
    story.hear(message())
    answered(story, 10)
    assert story.case.effective_due()[0] == FAR
    assert next_fire(story.case, POLICY, after(hours=1)) is None


# --- what bounces late -----------------------------------------------------------------------


def asked(story: Story, minutes: float) -> cmd.Reply:
    reply = cmd.Reply(message_id=uuid4(), agent="jo", text="So.", answers=story.case.version)
    story.tell(reply, after(minutes=minutes))
    return reply


def report(story: Story, reply: cmd.Reply, status: str, minutes: float) -> None:
    at = after(minutes=minutes)
    story.tell(cmd.ReportDelivery(message_id=reply.message_id, status=status, at=at), at)  # type: ignore[arg-type]


def test_an_old_bounce_leaves_a_newer_message_its_own_deadline() -> None:
    story = started(Story(POLICY))
    first = asked(story, 10)
    report(story, first, "sent", 11)
    reached = cmd.Reply(
        message_id=uuid4(), agent="jo", text="", answers=story.case.version, outcome="reached"
    )
    story.tell(reached, after(minutes=20))
    story.hear(mail("And now?", at=after(hours=30)))
    report(story, first, "failed", 31 * 60)
    assert story.case.clock("next_response").due_at == after(hours=34)
    assert not story.case.clock("next_response").late


def test_two_replies_that_both_bounce_leave_the_message_waiting() -> None:
    story = started(Story(POLICY))
    one, two = asked(story, 10), asked(story, 11)
    for reply in (one, two):
        report(story, reply, "sent", 12)
    report(story, one, "failed", 13)
    assert story.case.unanswered == ()
    report(story, two, "failed", 14)
    assert [m.at for m in story.case.unanswered] == [NOON]
    assert story.case.clock("first_response").due_at == after(hours=4)


def test_a_reply_under_way_at_the_closing_answers_once() -> None:
    story = started(Story(POLICY))
    reply = asked(story, 10)
    story.tell(cmd.Close("jo"), after(minutes=11))
    story.hear(mail("Wait", at=after(minutes=12)))
    report(story, reply, "sent", 13)
    report(story, reply, "failed", 14)
    assert [m.at for m in story.case.unanswered] == [NOON, after(minutes=12)]
    clock = story.case.clock("first_response", "next_response")
    assert clock.due_at == after(hours=4), "the earlier promise stands"
