"""DESIGN 5.3 to 5.7 on the pure core: clocks, answers, breaches, switches, and why."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from services.router import commands as cmd
from services.router.commands import PassTime, Reply, ReportDelivery
from services.router.evolve import evolve
from services.router.firing import next_fire
from shared import events as ev
from shared.errors import Conflict, Invalid, NotFound
from tests.builders import NOON, Story, after, example_policy, mail, message

OFFICE_HOUR = timedelta(hours=1)


def kinds(happened: list[object]) -> list[str]:
    return [type(event).__name__ for event in happened]


def reply(story: Story, text: str = "On its way.", answers: int | None = None) -> Reply:
    version = story.case.version if answers is None else answers
    return Reply(message_id=uuid4(), agent="jo", text=text, answers=version)


def sent(answer: Reply) -> ReportDelivery:
    return ReportDelivery(answer.message_id, "sent", NOON, provider_id="wamid.out")


def test_a_first_message_opens_a_case_with_its_clocks() -> None:
    story = Story()
    happened = story.hear(message())
    assert kinds(happened) == ["CaseOpened", "MessageAdded", "DeadlineStarted", "DeadlineStarted"]
    assert (story.case.team, story.case.product) == ("parcels", "parcels")
    first = story.case.clock("first_response")
    assert first.due_at == NOON + OFFICE_HOUR
    assert first.warn_at == (NOON + timedelta(minutes=30), NOON + timedelta(minutes=50))
    assert story.case.effective_due() == (first.due_at, "first_response")


def test_the_clock_starts_when_it_occurred_however_late_we_handle_it() -> None:
    story = Story()
    story.hear(message(), now=after(minutes=45))
    assert story.case.clock("first_response").due_at == NOON + OFFICE_HOUR


def test_an_older_message_that_comes_later_tightens_the_clock() -> None:
    story = Story()
    story.hear(message(at=after(minutes=20)))
    happened = story.hear(message(at=NOON), now=after(minutes=21))
    assert "DeadlineSuperseded" in kinds(happened)
    assert story.case.clock("first_response").due_at == NOON + OFFICE_HOUR


def test_a_later_message_never_moves_the_promise() -> None:
    story = Story()
    story.hear(message())
    promised = story.case.clock("first_response").due_at
    story.hear(message("And?", at=after(minutes=30)))
    story.hear(mail("Still nothing", at=after(minutes=40)))
    assert story.case.clock("first_response").due_at == promised
    assert story.case.channel == "email"


def test_a_tighter_channel_tightens_the_promise() -> None:
    story = Story()
    story.hear(mail())
    story.hear(message(at=after(minutes=10)))
    assert story.case.clock("first_response").due_at == NOON + OFFICE_HOUR


def test_only_a_sent_human_reply_answers() -> None:
    story = Story()
    story.hear(message())
    answer = reply(story)
    story.tell(answer, after(minutes=5))
    assert story.case.clock("first_response").state == "running"
    happened = story.tell(sent(answer), after(minutes=6))
    assert "DeadlineMet" in kinds(happened)
    assert story.case.state == "waiting_customer"
    assert story.case.clock("resolution").state == "paused"


def test_a_message_after_the_version_answered_stays_unanswered() -> None:
    story = Story()
    story.hear(message())
    answer = reply(story)
    story.hear(message("One more thing", at=after(minutes=-30)), now=after(minutes=2))
    story.tell(answer, after(minutes=3))
    story.tell(sent(answer), after(minutes=4))
    assert story.case.state == "open"
    waiting = story.case.clock("next_response")
    assert waiting.started_at == after(minutes=-30)


def test_a_failed_reply_leaves_the_clock_and_a_late_bounce_restores_it() -> None:
    story = Story()
    story.hear(message())
    promised = story.case.clock("first_response").due_at
    answer = reply(story)
    story.tell(answer, after(minutes=5))
    story.tell(sent(answer), after(minutes=6))
    story.tell(
        ReportDelivery(answer.message_id, "failed", NOON, code="bounced", reason="no such user"),
        after(minutes=20),
    )
    assert story.case.state == "open"
    assert story.case.clock("first_response").due_at == promised


def test_a_doubtful_reply_excuses_nothing_but_counts_if_it_was_sent_after_all() -> None:
    story = Story()
    story.hear(message())
    answer = reply(story)
    story.tell(answer, after(minutes=50))
    story.tell(ReportDelivery(answer.message_id, "unknown", NOON), after(minutes=52))
    happened = story.tell(PassTime(after(minutes=61)), after(minutes=61))
    assert isinstance(happened[0], ev.DeadlineBreached)
    story.tell(sent(answer), after(minutes=65))
    assert story.case.state == "waiting_customer"
    assert story.case.clock("first_response") is None


def test_a_call_that_reached_the_customer_answers_and_an_attempt_does_not() -> None:
    story = Story()
    story.hear(message())
    attempt = Reply(uuid4(), "jo", "", story.case.version, outcome="no_answer")
    story.tell(attempt, after(minutes=5))
    assert story.case.state == "open"
    reached = Reply(uuid4(), "jo", "Told her", story.case.version, outcome="reached")
    happened = story.tell(reached, after(minutes=6))
    assert "DeadlineMet" in kinds(happened)


def test_a_reply_typed_in_the_providers_app_answers_what_was_there() -> None:
    story = Story()
    story.hear(message())
    story.hear(message("Thanks for asking", at=after(minutes=9), echo=True))
    assert story.case.state == "waiting_customer"


def test_pausing_then_resuming_adds_the_paused_open_time() -> None:
    story = Story()
    story.hear(message())
    due = story.case.clock("resolution").due_at
    answer = reply(story)
    story.tell(answer, after(minutes=5))
    story.tell(sent(answer), after(minutes=10))
    story.hear(message("Hm", at=after(minutes=40)))
    assert story.case.clock("resolution").state == "running"
    assert story.case.clock("resolution").due_at == due + timedelta(minutes=30)


def test_reminders_come_once_a_step_and_the_latest_alone() -> None:
    story = Story()
    story.hear(message())
    (first,) = story.tell(PassTime(after(minutes=30)), after(minutes=30))
    assert (first.step, first.expires_at) == (1, after(minutes=50))
    assert story.tell(PassTime(after(minutes=31)), after(minutes=31)) == []
    (second,) = story.tell(PassTime(after(minutes=50)), after(minutes=50))
    assert (second.step, second.expires_at) == (2, after(minutes=60))
    slept = Story()
    slept.hear(message())
    (only,) = slept.tell(PassTime(after(minutes=55)), after(minutes=55))
    assert only.step == 2


def test_no_breach_while_the_answer_may_lie_in_the_lag() -> None:
    story = Story()
    story.hear(message())
    (risk,) = story.tell(PassTime(after(minutes=59)), after(minutes=61))
    assert isinstance(risk, ev.DeadlineAtRisk)
    assert risk.reason == "pipeline_lag"
    assert story.tell(PassTime(after(minutes=59)), after(minutes=62)) == []
    happened = story.tell(PassTime(after(minutes=60)), after(minutes=63))
    assert isinstance(happened[0], ev.DeadlineBreached)


def test_no_breach_while_an_accepted_reply_is_unsent() -> None:
    story = Story()
    story.hear(message())
    answer = reply(story)
    story.tell(answer, after(minutes=58))
    (risk,) = story.tell(PassTime(after(minutes=61)), after(minutes=61))
    assert risk.reason == "delivery_lag"
    story.tell(ReportDelivery(answer.message_id, "failed", NOON), after(minutes=62))
    happened = story.tell(PassTime(after(minutes=63)), after(minutes=63))
    assert isinstance(happened[0], ev.DeadlineBreached)


def test_a_breach_escalates_once() -> None:
    story = Story()
    story.hear(message())
    happened = story.tell(PassTime(after(minutes=61)), after(minutes=61))
    assert kinds(happened) == ["DeadlineBreached", "CasePriorityChanged", "CaseAssigned"]
    told = {target.name for target in happened[0].notify}
    assert told == {"parcels", "supervisors"}
    assert (story.case.team, story.case.priority) == ("frontdesk", "high")
    assert story.tell(PassTime(after(hours=2)), after(hours=2)) == []
    assert story.case.effective_due()[1] == "first_response", "it still waits, and on top"


def test_a_breach_leaves_the_agent_at_work_alone() -> None:
    story = Story()
    story.hear(message())
    story.tell(cmd.Claim("jo"), after(minutes=55))
    happened = story.tell(PassTime(after(minutes=61)), after(minutes=61))
    assert "CaseAssigned" not in kinds(happened)
    assert story.case.agent == "jo"


def test_what_arrives_overdue_is_breached_apart_without_reminders() -> None:
    story = Story()
    late = message(at=NOON, received_at=after(days=7))
    happened = story.hear(late, now=after(days=7))
    (clock,) = [e for e in happened if getattr(e, "metric", "") == "first_response"]
    assert clock.late
    assert clock.warn_at == ()
    breach = story.tell(PassTime(after(days=7, minutes=1)), after(days=7, minutes=1))[0]
    assert breach.arrived_late
    assert {target.name for target in breach.notify} == {"parcels", "supervisors"}
    assert {target.digest.over for target in breach.notify} == {0}  # nobody is told of it alone


def test_an_automatic_mail_starts_no_clock() -> None:
    story = Story()
    story.hear(mail(kind="auto_reply", automatic=True))
    assert story.case.running == ()


def test_the_reply_window_bounds_the_queue() -> None:
    story = Story()
    story.hear(message("Hello", reply_window_closes_at=after(minutes=90)))
    assert story.case.effective_due() == (after(minutes=30), "reply_window")


def test_a_reply_outside_the_window_is_refused_with_what_is_permitted() -> None:
    story = Story()
    story.hear(message(reply_window_closes_at=after(hours=1)))
    with pytest.raises(Conflict) as refused:
        story.tell(reply(story), after(hours=2))
    assert refused.value.problem == "reply-window-closed"
    assert {row["to"] for row in refused.value.extra["permitted"]} == {"phone", "email"}


def test_a_second_claimant_learns_who_owns_it() -> None:
    story = Story()
    story.hear(message())
    story.tell(cmd.Claim("jo"), NOON)
    with pytest.raises(Conflict) as refused:
        story.tell(cmd.Claim("sam"), NOON)
    assert refused.value.extra["owner"] == "jo"
    (released,) = story.tell(PassTime(None), after(minutes=31))[-1:]
    assert isinstance(released, ev.CaseReleased)


def test_a_switch_follows_the_matrix() -> None:
    story = Story()
    story.hear(message())
    offer = cmd.OfferHandoff(
        uuid4(), "jo", "agent", to_channel="email", address="ada@example.org",
        code="R-0000-0000", way=cmd.Way(address="support@example.org"), invitation_id=uuid4(),
    )  # fmt: skip
    offered, asked = story.tell(offer, after(minutes=5))
    assert isinstance(offered, ev.HandoffOffered)
    assert isinstance(asked, ev.ReplyRequested)
    assert "R-0000-0000" in asked.text
    assert (asked.secret, asked.human) == (True, False)
    with pytest.raises(Conflict) as refused:
        story.tell(cmd.OfferHandoff(uuid4(), "jo", "agent", to_channel="sms"), after(minutes=6))
    assert refused.value.problem == "switch-not-permitted"
    assert refused.value.extra["permitted"]


def test_recorded_consent_is_asked_for_by_name() -> None:
    story = Story()
    story.hear(message(channel="phone", account="desk-phone", kind="call_missed"))
    with pytest.raises(Invalid) as refused:
        story.tell(cmd.OfferHandoff(uuid4(), "jo", "agent", to_channel="email"), after(minutes=6))
    assert refused.value.extra["missing"] == ["consent"]


def test_a_team_without_its_results_is_named_what_is_missing() -> None:
    story = Story()
    story.hear(message())
    with pytest.raises(Invalid) as refused:
        story.tell(cmd.OfferHandoff(uuid4(), "jo", "agent", to_team="claims"), after(minutes=6))
    assert refused.value.extra["missing"] == ["tracking_number"]


def test_the_switched_mail_keeps_the_carried_deadline() -> None:
    story = Story()
    story.hear(message())
    promised = story.case.clock("first_response").due_at
    offer = cmd.OfferHandoff(
        uuid4(), "jo", "agent", to_channel="email", code="R-0000-0000", invitation_id=uuid4()
    )
    story.tell(offer, after(minutes=5))
    happened = story.hear(mail(at=after(minutes=20)), handoff_id=offer.handoff_id)
    assert "HandoffAccepted" in kinds(happened)
    assert story.case.channel == "email"
    assert story.case.clock("first_response").due_at == promised


def test_every_decision_explains_itself() -> None:
    story = Story()
    story.hear(message())
    assert story.decided is not None
    why = {decision.kind: decision for decision in story.decided.decisions}
    assert why["routing"].rule == "tracking"
    assert [trial["name"] for trial in why["routing"].trail] == [
        "missed call",
        "damage",
        "tracking",
    ]
    assert why["service_level"].rule == "chat"
    assert "1h in `office` from Tue 10:00 = Tue 11:00" in why["service_level"].words
    assert {decision.policy_version for decision in story.decided.decisions} == {1}


def test_the_case_is_the_fold_of_its_history() -> None:
    story = Story()
    story.hear(message())
    answer = reply(story)
    story.tell(answer, after(minutes=5))
    story.tell(sent(answer), after(minutes=6))
    story.hear(message("Hm", at=after(minutes=40)))
    story.tell(PassTime(after(hours=8)), after(hours=8))
    folded = None
    for change in story.history:
        folded = evolve(folded, change)
    assert folded == story.case


def test_deciding_twice_gives_the_same() -> None:
    one, two = Story(), Story()
    two.id, two.customer = one.id, one.customer
    first = message()
    assert one.hear(first) == two.hear(first)
    assert one.decided == two.decided


def test_nothing_may_be_asked_of_a_case_that_is_not() -> None:
    with pytest.raises(NotFound):
        Story().tell(cmd.Claim("jo"), NOON)


def test_the_timer_never_stands_in_the_past() -> None:
    story = Story()
    story.hear(message(at=NOON, received_at=after(days=7)), now=after(days=7))
    assert next_fire(story.case, story.policy, after(days=7)) == after(days=7)


def test_versions_count_what_matters_to_an_agent() -> None:
    story = Story()
    story.hear(message())
    before = story.case.version
    story.tell(PassTime(after(minutes=30)), after(minutes=30))
    assert story.case.version == before
    story.tell(cmd.TakeNote(uuid4(), "jo", "Called the depot"), after(minutes=31))
    assert story.case.version == before + 1


def test_a_flood_of_one_customer_stays_small() -> None:
    story = Story()
    for minute in range(300):
        story.hear(message(at=after(seconds=minute)))
    assert len(story.case.unanswered) <= 100
    assert story.case.waiting_since == NOON


def test_the_example_policy_has_no_open_questions() -> None:
    assert example_policy().version == 1
