"""What later changes do to running clocks: they keep or tighten, and invent no breach. Pure."""

from __future__ import annotations

from uuid import uuid4

import pytest

from services.router import commands as cmd
from services.router.policy import Policy
from shared import events as ev
from shared.errors import Conflict
from tests.builders import NOON, Story, after, mail, message

POLICY = Policy.parse("""
name: tight
timezone: UTC
calendars: {always: {hours: 24/7}}
teams:
  desk: {calendar: always, fallback: fast, skills: [law],
         notify: [{webhook: "https://hooks.example.org/desk"}]}
  fast: {calendar: always}
supervisors: {notify: [{webhook: "https://hooks.example.org/boss"}]}
quiet_hours: {from: "00:00", to: "23:00", except: urgent}
routing:
  - {name: vip, when: 'text.contains("vip")', team: fast, priority: urgent, tags: [vip],
     skills: [law]}
  - {name: rest, team: desk}
service_levels:
  - {name: urgent, when: 'priority == "urgent"', calendar: always, first_response: 30m,
     resolution: 4h}
  - {name: fast, when: 'team == "fast"', calendar: always, first_response: 1h, resolution: 50h}
  - name: gold
    when: 'has(attributes.tier) && attributes.tier == "gold"'
    calendar: always
    first_response: 8h
    update_every: 4h
    escalate: [{before: 1h, notify: [team]}, {after: 30m, notify: [supervisors]}]
  - {name: chat, when: 'channel == "whatsapp"', calendar: always, first_response: 1h,
     resolution: 90h}
  - name: mail
    calendar: always
    first_response: 24h
    resolution: 100h
    escalate: [{before: 1h, notify: [supervisors], priority: raise}]
""").with_version(1)  # fmt: skip


def replied(story: Story, minutes: float, status: str = "sent") -> cmd.Reply:
    reply = cmd.Reply(message_id=uuid4(), agent="jo", text="So.", answers=story.case.version)
    story.tell(reply, after(minutes=minutes))
    reported(story, reply, status, minutes)
    return reply


def reported(story: Story, reply: cmd.Reply, status: str, minutes: float) -> None:
    at = after(minutes=minutes)
    story.tell(cmd.ReportDelivery(reply.message_id, status, at), at)  # type: ignore[arg-type]


def test_a_stricter_channel_counts_from_its_own_message_where_it_would_be_past() -> None:
    story = Story(POLICY)
    story.hear(mail(at=NOON))
    story.hear(message(at=after(hours=3)))
    assert story.case.clock("first_response").due_at == after(hours=4)


@pytest.mark.parametrize("hours", [3, 20])
def test_another_team_or_priority_makes_no_breach_of_ours(hours: int) -> None:
    story = Story(POLICY)
    story.hear(mail())
    story.tell(cmd.ChangePriority("jo", "urgent"), after(hours=hours))
    clock = story.case.clock("first_response")
    assert clock.due_at == after(hours=hours, minutes=30)
    assert not clock.late


def test_the_resolution_tightens_too_and_is_never_late_by_it() -> None:
    story = Story(POLICY)
    story.hear(mail())
    story.tell(cmd.ChangePriority("jo", "urgent"), after(hours=1))
    assert story.case.clock("resolution").due_at == after(hours=4)
    story = Story(POLICY)
    story.hear(mail())
    story.tell(cmd.ChangePriority("jo", "urgent"), after(hours=10))
    assert story.case.clock("resolution").due_at == after(hours=14)


def test_an_escalation_that_raises_tightens_as_a_person_does() -> None:
    story = Story(POLICY)
    story.hear(mail(priority="high"))
    story.tell(cmd.PassTime(after(hours=23)), after(hours=23))
    assert story.case.priority == "urgent"
    assert story.case.clock("resolution").due_at == after(hours=27)


def test_what_a_rule_asked_of_the_message_holds_for_later_clocks() -> None:
    story = Story(POLICY)
    story.hear(mail(attributes={"tier": "gold"}))
    replied(story, 60)
    assert story.case.clock("update").due_at == after(hours=5)
    story.tell(cmd.ChangePriority("jo", "high"), after(hours=2))
    assert story.case.clock("update").rule == "gold"


def test_a_bounce_brings_the_escalation_back() -> None:
    story = Story(POLICY)
    story.hear(mail(attributes={"tier": "gold"}))
    reply = replied(story, 60)
    reported(story, reply, "failed", 61)
    steps = story.case.clock("first_response").escalations
    assert [step.at for step in steps] == [after(hours=7), after(hours=8, minutes=30)]


def test_reopening_gives_all_that_the_rule_says() -> None:
    story = Story(POLICY)
    story.hear(mail())
    replied(story, 5)
    story.tell(cmd.Close("jo"), after(minutes=6))
    story.hear(mail("I am a VIP", at=after(hours=1)))
    case = story.case
    assert (case.team, case.priority, case.tags, case.skills) == (
        "fast",
        "urgent",
        ("vip",),
        ("law",),
    )
    assert case.rule == "vip"
    assert case.clock("next_response").due_at == after(hours=1, minutes=30)


def test_a_team_that_is_gone_loses_its_case_to_the_default() -> None:
    other = Policy.parse(
        "calendars: {always: {hours: 24/7}}\nteams: {all: {calendar: always}}\n"
        "routing: [{name: rest, team: all}]\n"
        "service_levels: [{name: x, calendar: always, first_response: 1h}]\n"
        "on_breach: {reassign: fallback}\n"
    ).with_version(2)
    story = Story(POLICY)
    story.hear(mail())
    story.policy = other
    story.tell(cmd.PassTime(after(hours=24)), after(hours=24))
    assert story.case.team == "all"


def test_nobody_accepts_for_a_team_that_is_gone() -> None:
    story = Story(POLICY)
    story.hear(mail())
    offer = cmd.OfferHandoff(uuid4(), "jo", "agent", to_team="fast")
    story.tell(offer, after(minutes=1))
    text = POLICY.text.replace("  fast: {calendar: always}\n", "").replace("fallback: fast, ", "")
    story.policy = Policy.parse(
        text.replace("team: fast", "team: desk").replace('team == "fast"', 'team == "desk"')
    ).with_version(2)
    with pytest.raises(Conflict, match="no team fast any more"):
        story.tell(cmd.AcceptHandoff(offer.handoff_id, "al"), after(minutes=2))


def test_an_urgent_step_wakes_people_though_it_was_not_urgent_before() -> None:
    story = Story(POLICY)
    story.hear(mail(priority="high"))
    happened = story.tell(cmd.PassTime(after(hours=23)), after(hours=23))
    (step,) = [e for e in happened if isinstance(e, ev.DeadlineEscalated)]
    assert [target.not_before for target in step.notify] == [None]


def test_a_step_to_others_does_not_make_the_one_before_stale() -> None:
    story = Story(POLICY)
    story.hear(mail(attributes={"tier": "gold"}))
    happened = story.tell(cmd.PassTime(after(hours=7)), after(hours=7))
    steps = (e for e in happened if isinstance(e, ev.DeadlineEscalated))
    (step,) = (e for e in steps if e.metric == "first_response")
    assert step.expires_at == after(days=4, hours=7)


def test_after_a_pause_the_words_say_when() -> None:
    story = Story(POLICY)
    story.hear(mail())
    replied(story, 60)
    story.tell(cmd.Reopen("jo"), after(hours=3))
    clock = story.case.clock("resolution")
    assert f"{clock.due_at:%Y-%m-%d %H:%M}" in clock.words


def test_without_a_service_level_the_window_still_counts() -> None:
    text = POLICY.text.replace(
        "  - name: mail\n", "  - name: mail\n    when: 'channel == \"email\"'\n"
    )
    text = text.replace("when: 'channel == \"whatsapp\"'", "when: 'channel == \"sms\"'")
    story = Story(Policy.parse(text).with_version(1))
    story.hear(message())
    assert story.case.effective_due() == (after(hours=23), "reply_window")
