"""The corners of deciding: late bounces, closed cases, echoes, strangers, second thoughts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.router import commands as cmd
from services.router.commands import PassTime, Reply, ReportDelivery
from services.router.policy import Policy
from shared import events as ev
from shared.errors import Conflict, Invalid, NotFound
from tests.builders import EXAMPLE, NOON, Story, after, mail, message


def reply(story: Story) -> Reply:
    return Reply(uuid4(), "jo", "On its way.", answers=story.case.version)


def report(answer: Reply, status: str = "sent") -> ReportDelivery:
    return ReportDelivery(answer.message_id, status, NOON)  # type: ignore[arg-type]


def answered(story: Story, minutes: float) -> Reply:
    answer = reply(story)
    story.tell(answer, after(minutes=minutes))
    story.tell(report(answer), after(minutes=minutes + 1))
    return answer


def test_a_failed_reply_reopens_its_closed_case() -> None:
    story = Story()
    story.hear(message())
    answer = reply(story)
    story.tell(answer, after(minutes=5))
    story.tell(cmd.Close("jo"), after(minutes=6))
    happened = story.tell(report(answer, "failed"), after(minutes=7))
    assert any(isinstance(event, ev.CaseReopened) for event in happened)
    assert story.case.state == "open"
    assert story.case.clock("first_response").due_at == after(minutes=60)


def test_a_bounce_after_closing_reopens_and_one_of_an_invitation_does_not() -> None:
    story = Story()
    story.hear(message())
    answer = answered(story, 5)
    story.tell(cmd.Close("jo"), after(minutes=10))
    story.tell(report(answer, "failed"), after(minutes=30))
    assert (story.case.state, story.case.waiting_since) == ("open", NOON)
    story.tell(cmd.Close("jo"), after(minutes=31))
    story.tell(ReportDelivery(uuid4(), "failed", NOON), after(minutes=32))
    assert story.case.state == "closed"


def test_a_bounce_after_due_is_a_breach_like_any_other() -> None:
    story = Story()
    story.hear(message())
    answer = answered(story, 30)
    story.tell(report(answer, "failed"), after(minutes=90))
    clock = story.case.clock("first_response")
    assert (clock.due_at, clock.late) == (after(minutes=60), False)
    (breach, *_) = story.tell(PassTime(after(minutes=91)), after(minutes=91))
    assert breach.notify


def test_the_bounce_of_an_old_reply_leaves_what_a_later_one_answered() -> None:
    story = Story()
    story.hear(message())
    first = answered(story, 5)
    story.hear(message("And when?", at=after(minutes=10)))
    answered(story, 15)
    story.tell(report(first, "failed"), after(minutes=20))
    assert story.case.unanswered == ()
    assert story.case.answered_at is not None


def test_a_restored_clock_keeps_what_its_own_rule_promised() -> None:
    story = Story()
    call: dict[str, Any] = {"account": "desk-phone", "channel": "phone", "kind": "call_missed"}
    story.hear(message("", reply_window_closes_at=None, **call))
    promised = story.case.clock("first_response").due_at
    reached = Reply(uuid4(), "jo", "", story.case.version, outcome="reached")
    story.tell(reached, after(minutes=5))
    story.tell(ReportDelivery(reached.message_id, "failed", NOON), after(minutes=6))
    assert story.case.clock("first_response").due_at == promised == after(minutes=30)


def test_an_echo_leaves_a_clock_for_what_came_after_it() -> None:
    story = Story()
    story.hear(message())
    story.hear(message("And?", at=after(minutes=10)))
    story.hear(message("Typed", at=after(minutes=5), echo=True), now=after(minutes=11))
    assert [m.at for m in story.case.unanswered] == [after(minutes=10)]
    assert story.case.clock("next_response") is not None


def test_long_words_are_kept_whole() -> None:
    story = Story()
    story.hear(message())
    words = "word " * 300
    (recorded, *_) = story.tell(
        Reply(uuid4(), "jo", words, story.case.version, outcome="reached"), after(minutes=5)
    )
    assert recorded.text == words


@pytest.mark.parametrize("kind", ["reaction", "edit", "revoke"])
def test_what_needs_no_answer_moves_no_clock_and_opens_nothing(kind: str) -> None:
    story = Story()
    story.hear(message())
    answered(story, 5)
    story.hear(message("👍", kind=kind, at=after(minutes=9)))
    assert story.case.clock("resolution").state == "paused"
    story.tell(cmd.Close("jo"), after(minutes=10))
    story.hear(message("👍", kind=kind, at=after(minutes=11)))
    assert story.case.state == "closed"


def test_an_out_of_office_mail_does_not_reopen() -> None:
    story = Story()
    story.hear(mail())
    story.tell(cmd.Close("jo"), after(minutes=10))
    story.hear(mail("I am away", kind="auto_reply", automatic=True, at=after(minutes=11)))
    assert story.case.state == "closed"


def test_a_stranger_in_the_thread_moves_neither_channel_nor_replies() -> None:
    story = Story()
    story.hear(message())
    story.hear(mail("Let me", at=after(minutes=5)), marked="other_sender")
    assert (story.case.channel, story.case.account) == ("whatsapp", "desk-whatsapp")
    story.tell(reply(story), after(minutes=6))


def test_a_replayed_message_counts_as_a_late_arrival() -> None:
    story = Story()
    happened = story.hear(message(), now=after(days=1), arrived_at=after(days=1))
    (clock,) = [e for e in happened if getattr(e, "metric", "") == "first_response"]
    assert clock.late


def test_a_late_arrival_leaves_the_escalation_to_the_next_breach() -> None:
    story = Story()
    old = message(at=NOON, received_at=after(days=7), reply_window_closes_at=None)
    story.hear(old, now=after(days=7))
    story.tell(PassTime(after(days=7, minutes=1)), after(days=7, minutes=1))
    assert (story.case.team, story.case.priority) == ("parcels", "normal")
    answer = reply(story)
    story.tell(answer, after(days=7, minutes=2))
    story.tell(report(answer), after(days=7, minutes=3))
    story.hear(message("Well?", at=after(days=7, minutes=4)))
    breach = story.tell(PassTime(after(days=7, hours=3)), after(days=7, hours=3))[0]
    assert breach.notify


def test_closing_ends_what_is_on_offer() -> None:
    story = Story()
    story.hear(message("Hello"))
    offer = cmd.OfferHandoff(uuid4(), "jo", "agent", to_team="claims")
    story.tell(offer, after(minutes=1))
    happened = story.tell(cmd.Close("jo"), after(minutes=2))
    assert any(isinstance(event, ev.HandoffExpired) for event in happened)
    with pytest.raises(NotFound):
        story.tell(cmd.AcceptHandoff(offer.handoff_id, "sam"), after(minutes=3))


def test_nobody_accepts_a_switch_for_the_customer() -> None:
    story = Story()
    story.hear(message())
    offer = cmd.OfferHandoff(
        uuid4(), "jo", "agent", to_channel="email", code="R-0000-0000", invitation_id=uuid4()
    )
    story.tell(offer, after(minutes=1))
    with pytest.raises(Conflict):
        story.tell(cmd.AcceptHandoff(offer.handoff_id, "jo"), after(minutes=2))


def test_naming_a_result_does_not_make_it() -> None:
    story = Story()
    story.hear(message())
    offer = cmd.OfferHandoff(uuid4(), "jo", "agent", to_team="claims", results=("tracking_number",))
    with pytest.raises(Invalid):
        story.tell(offer, after(minutes=1))


def test_another_priority_may_promise_more_and_never_less() -> None:
    text = EXAMPLE.read_text(encoding="utf-8").replace(
        "service_levels:",
        "service_levels:\n"
        "  - {name: urgent, when: 'priority == \"urgent\"', calendar: office, first_response: 5m}\n"
        "#",
        1,
    )
    story = Story(Policy.parse(text).with_version(1))
    story.hear(message())
    story.tell(cmd.ChangePriority("jo", "urgent"), after(minutes=1))
    assert story.case.clock("first_response").due_at == after(minutes=5)
    story.tell(cmd.ChangePriority("jo", "low"), after(minutes=2))
    assert story.case.clock("first_response").due_at == after(minutes=5)


def test_a_breached_clock_is_neither_replaced_nor_left_behind() -> None:
    story = Story()
    story.hear(message(at=after(minutes=5)))
    story.tell(PassTime(after(minutes=66)), after(minutes=66))
    happened = story.hear(message("Older", at=NOON), now=after(minutes=67))
    assert not any(isinstance(event, ev.DeadlineSuperseded) for event in happened)
    for waiting in story.case.unanswered:
        story.tell(
            cmd.ReviseMessage(waiting.message_id, "answered", settled=True), after(minutes=70)
        )
    assert story.case.clock("first_response") is None


def test_an_open_case_always_has_a_clock() -> None:
    story = Story()
    story.hear(message())
    story.tell(cmd.Close("jo"), after(minutes=1))
    story.tell(cmd.Reopen("jo"), after(minutes=2))
    assert story.case.clock("resolution") is not None


def test_nothing_is_written_to_a_telephone() -> None:
    story = Story()
    call: dict[str, Any] = {"account": "desk-phone", "channel": "phone", "kind": "call_missed"}
    story.hear(message("", reply_window_closes_at=None, **call))
    with pytest.raises(Invalid) as refused:
        story.tell(reply(story), after(minutes=1))
    assert refused.value.problem == "not-a-written-channel"


def test_a_breach_is_booked_to_the_team_that_had_it() -> None:
    story = Story()
    story.hear(message())
    story.tell(PassTime(after(minutes=61)), after(minutes=61))
    breached = next(d for d in story.case.deadlines if d.metric == "first_response")
    assert (breached.team, story.case.team) == ("parcels", "frontdesk")
    assert story.decided is not None
    assert {d.kind for d in story.decided.decisions} == {"breach", "escalation"}


def test_the_paused_time_is_the_time_between() -> None:
    story = Story()
    story.hear(message())
    due = story.case.clock("resolution").due_at
    answered(story, 9)
    story.hear(message("Hm", at=after(minutes=40)))
    assert story.case.clock("resolution").due_at == due + timedelta(minutes=30)


def test_the_first_real_message_is_the_one_that_is_routed() -> None:
    story = Story()
    story.hear(message("👍", kind="reaction"))
    assert story.case.team == "frontdesk"
    story.hear(message("My parcel arrived damaged", at=after(minutes=2)))
    assert (story.case.team, story.case.product) == ("claims", "claims")
    assert story.case.subject == "My parcel arrived damaged"
    story.hear(message("And the other parcel?", at=after(minutes=3)))
    assert story.case.team == "claims", "routing runs at opening only"


def test_a_better_outcome_shows_in_the_list() -> None:
    story = Story()
    call: dict[str, Any] = {"account": "desk-phone", "channel": "phone", "kind": "call_missed"}
    first = message("Missed call from Ada", reply_window_closes_at=None, **call)
    story.hear(first)
    story.tell(
        cmd.ReviseMessage(first.id, "answered", "Missed call from Ada", "Answered call", True), NOON
    )
    assert (story.case.subject, story.case.preview) == ("Answered call", "Answered call")
    assert story.case.unanswered == ()


def test_a_reply_leaves_by_an_account_that_sends() -> None:
    story = Story()
    story.hear(mail(account="post-room"))
    answer = Reply(uuid4(), "jo", "Hi", story.case.version, senders=frozenset({"support-mail"}))
    (asked, *_) = story.tell(answer, after(minutes=1))
    assert asked.account == "support-mail", "the policy's reply_from"
    with pytest.raises(Invalid) as refused:
        story.tell(
            Reply(uuid4(), "jo", "Hi", story.case.version, senders=frozenset()), after(minutes=2)
        )
    assert refused.value.problem == "no-outbound"
