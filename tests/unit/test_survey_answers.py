"""What counts as an answer to a survey, what it does, and where it joins. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.router import commands as cmd
from services.router import surveying
from services.router.evolve import evolve
from services.router.joining import join
from services.router.policy import Policy
from services.router.trial.heard import Heard
from services.router.trial.replaying import Trial, replay
from services.router.trial.retelling import History
from shared import events as ev
from shared.events import MessageReceived, Thread
from tests.builders import NOON, Story, mail, message, uuid
from tests.surveyed import (
    CLOSED,
    DUE,
    NO_FOLLOW_UP,
    ONE_TO_TEN,
    POLICY,
    TEXT,
    asked,
    closed,
    names,
    none,
    only,
    pass_time,
    surveyed,
)


def test_a_score_is_recorded_and_needs_no_answer() -> None:
    story = asked()
    before = story.case
    happened = story.hear(message("4\nThank you!", DUE + timedelta(minutes=5)))
    added, answered = happened
    assert (added.unanswered, added.preview) == (False, "4 Thank you!")
    assert (answered.score, answered.comment, answered.channel) == (4, "Thank you!", "whatsapp")
    assert answered.message_id == added.message_id
    case = story.case
    assert (case.state, case.unanswered, case.deadlines) == ("closed", (), before.deadlines)


def test_a_mail_is_read_without_what_it_quotes() -> None:
    story = asked(mail())
    quoted = mail("5\n\n> How well did we help you?\n> 1 to 5", DUE, reply_text="5")
    assert only(story.hear(quoted), ev.SurveyAnswered).score == 5


def test_a_low_score_opens_the_case_again_and_its_clock_runs() -> None:
    story = asked()
    happened = story.hear(message("2\nNobody called", DUE + timedelta(minutes=5)))
    assert names(happened)[:2] == ["CaseReopened", "MessageAdded"]
    assert only(happened, ev.CaseReopened).reason == "low score"
    assert only(happened, ev.MessageAdded).unanswered
    assert only(happened, ev.SurveyAnswered).score == 2
    started = only(happened, ev.DeadlineStarted)
    assert started.due_at == DUE + timedelta(hours=4, minutes=5)
    assert (story.case.state, len(story.case.unanswered)) == ("open", 1)


def test_a_low_score_stays_with_the_team_that_knows_the_matter() -> None:
    story = closed()
    story.tell(cmd.Reopen("jo"), CLOSED)
    story.tell(cmd.OfferHandoff(uuid(5), "jo", "theirs", to_team="desk"), CLOSED)
    story.tell(cmd.AcceptHandoff(uuid(5), "sam"), CLOSED)
    story.tell(cmd.Close("sam"), CLOSED)
    pass_time(story)
    story.hear(message("1", DUE + timedelta(minutes=1)))
    assert (story.case.state, story.case.team) == ("open", "desk")


@pytest.mark.parametrize(("policy", "score"), [(POLICY, 3), (NO_FOLLOW_UP, 1)])
def test_only_below_the_policys_bound(policy: Policy, score: int) -> None:
    story = asked(policy=policy)
    happened = story.hear(message(str(score), DUE + timedelta(minutes=5)))
    assert only(happened, ev.SurveyAnswered).score == score
    assert story.case.state == "closed"


def test_the_scale_is_that_of_the_question() -> None:
    story = asked()
    story.policy = ONE_TO_TEN
    assert none(story.hear(message("9", DUE + timedelta(minutes=5))), ev.SurveyAnswered)
    assert story.case.state == "open", "a message like any other"


@pytest.mark.parametrize("text", ["order 4 of 5 arrived", "Thanks, but it is not solved", "9"])
def test_anything_else_opens_the_case_as_always(text: str) -> None:
    story = asked()
    happened = story.hear(message(text, DUE + timedelta(minutes=5)))
    assert only(happened, ev.MessageAdded).unanswered
    assert only(happened, ev.CaseReopened).reason == "customer"
    assert story.case.state == "open"


def test_the_first_score_counts() -> None:
    story = asked()
    story.hear(message("4", DUE + timedelta(minutes=5)))
    again = story.hear(message("1", DUE + timedelta(minutes=6)))
    assert names(again) == ["MessageAdded"]
    assert not again[0].unanswered
    assert story.case.state == "closed"
    words = story.hear(message("1\nIt broke after all", DUE + timedelta(minutes=7)))
    assert only(words, ev.MessageAdded).unanswered
    assert none(words, ev.SurveyAnswered)
    assert story.case.state == "open"


def test_a_thank_you_before_the_score_takes_nothing_from_it() -> None:
    story = asked()
    story.hear(message("Thanks!", DUE + timedelta(minutes=5)))
    assert story.case.state == "open"
    happened = story.hear(message("5", DUE + timedelta(minutes=6)))
    assert only(happened, ev.SurveyAnswered).score == 5
    assert len(story.case.unanswered) == 1, "the thank-you still waits, as always"


def test_once_somebody_of_ours_writes_again_a_number_is_their_answer_to_that() -> None:
    story = asked()
    story.hear(message("One more thing", DUE + timedelta(minutes=5)))
    question = cmd.Reply(uuid4(), "jo", "How many did you order?", story.case.version)
    story.tell(question, DUE + timedelta(minutes=6))
    happened = story.hear(message("4", DUE + timedelta(minutes=7)))
    assert only(happened, ev.MessageAdded).unanswered
    assert none(happened, ev.SurveyAnswered)


@pytest.mark.parametrize(
    "changed",
    [
        {"at": DUE + timedelta(days=7)},
        {"at": DUE - timedelta(seconds=1)},
        {"channel": "sms", "account": "desk-sms"},
        {"kind": "edit"},
        {"automatic": True},
        {"echo": True},
    ],
)
def test_what_is_no_answer(changed: dict[str, Any]) -> None:
    story = asked()
    at = changed.pop("at", DUE + timedelta(minutes=5))
    happened = story.hear(message("4", at, **changed), max(at, DUE))
    assert none(happened, ev.SurveyAnswered)


def test_a_stranger_and_an_agent_do_not_answer_for_them() -> None:
    stranger = message("4", DUE + timedelta(minutes=5))
    assert none(asked().hear(stranger, marked="other_sender"), ev.SurveyAnswered)
    noted = message("4", DUE + timedelta(minutes=5))
    assert none(asked().hear(noted, opening=cmd.Opening(by="jo")), ev.SurveyAnswered)


def test_a_late_arrival_that_was_said_in_time_counts() -> None:
    story = asked()
    said = message("4", DUE + timedelta(days=6, hours=23))
    happened = story.hear(said, DUE + timedelta(days=8), arrived_at=DUE + timedelta(days=8))
    assert only(happened, ev.SurveyAnswered).score == 4


def test_stop_is_recorded_and_answered_by_nobody() -> None:
    story = asked()
    happened = story.hear(message("STOP", DUE + timedelta(minutes=5)))
    assert names(happened) == ["MessageAdded", "SurveyDeclined"]
    assert not happened[0].unanswered
    assert story.case.state == "closed"
    later = story.hear(message("5", DUE + timedelta(minutes=6)))
    assert names(later) == ["MessageAdded"], "they had answered"


def test_the_history_folds_into_the_case() -> None:
    story = asked()
    story.hear(message("2", DUE + timedelta(minutes=5)))
    case = None
    for change in story.history:
        case = evolve(case, change)
    assert case == story.case


# --- joining ---------------------------------------------------------------------------------


def joined(story: Story, received: MessageReceived, now: datetime, *others: Any) -> Any:
    found = join(
        received, story.case.customer_id, threads=(), cases=[story.case, *others],
        product_of=lambda: "", policy=POLICY, now=now,
    )  # fmt: skip
    return found.case and found.case.id, found.why


def test_an_answer_joins_its_case_after_it_could_be_reopened() -> None:
    story = asked()
    later = DUE + timedelta(days=6)
    assert joined(story, message("4", later), later) == (story.id, "survey")
    assert joined(story, message("Hello?", later), later) == (None, "new")
    assert joined(story, message("4", later, account="another"), later) == (None, "new")
    over = DUE + timedelta(days=7)
    assert joined(story, message("4", over), over) == (None, "new")
    assert surveying.reach(POLICY, over) < CLOSED, "and until then the case is read"
    assert surveying.reach(POLICY, over) < POLICY.reopens_since(over)


def test_an_answer_in_the_thread_joins_its_case_and_a_strangers_does_not() -> None:
    story = asked(mail())
    later = DUE + timedelta(days=6)
    reply = mail("4", later, thread=Thread(message_id="<x@y>", references=("<q@regie>",)))
    for customer, expected in ((story.case.customer_id, story.id), (uuid(77), None)):
        found = join(
            reply, customer, threads=[story.case], cases=[], product_of=lambda: "",
            policy=POLICY, now=later,
        )  # fmt: skip
        assert (found.case and found.case.id) == expected


def test_a_number_goes_to_the_case_on_which_somebody_wrote_last() -> None:
    story = asked()
    other = Story(POLICY)
    other.hear(message("And my invoice?", DUE + timedelta(minutes=5)))
    five = message("5", DUE + timedelta(minutes=9))
    assert joined(story, five, five.received_at, other.case) == (story.id, "survey")
    reply = cmd.Reply(uuid4(), "jo", "Which one: 4 or 5?", other.case.version)
    other.tell(reply, DUE + timedelta(minutes=8))
    assert joined(story, five, five.received_at, other.case) == (other.id, "customer")


# --- dry runs --------------------------------------------------------------------------------


def replayed(story: Story, policy: Policy) -> Any:
    received = {
        change.event.message_id: change.event
        for change in story.history
        if isinstance(change.event, ev.MessageAdded)
    }
    heard = {
        id: Heard(customer=story.customer, text=event.preview) for id, event in received.items()
    }
    until = story.history[-1].at + timedelta(days=1)
    return replay(History(story.id, story.history, heard), Trial(policy, story.policy, NOON, until))


@pytest.mark.parametrize("text", ["4", "2", "STOP", "It is broken"])
def test_a_dry_run_asks_and_hears_the_same(text: str) -> None:
    story = asked()
    story.hear(message(text, DUE + timedelta(minutes=5)))
    outcome = replayed(story, POLICY)
    assert not outcome.kept
    assert outcome.refused == []
    assert outcome.now.case == outcome.then.case
    assert outcome.now.case.survey == story.case.survey


def test_a_dry_run_of_a_passed_over_and_of_a_failed_one() -> None:
    skipped = closed()
    pass_time(skipped, asking=cmd.Asking(opted_out=True))
    failed = asked()
    question = surveyed(failed).message_id
    failed.tell(cmd.ReportDelivery(question, "failed", DUE), DUE + timedelta(minutes=1))
    for story in (skipped, failed):
        outcome = replayed(story, POLICY)
        assert outcome.now.case == outcome.then.case
        assert outcome.now.case is not None
        assert outcome.now.case.surveyed


def test_a_dry_run_of_a_policy_that_asks_earlier_asks_nobody() -> None:
    earlier = Policy.parse(TEXT.replace("after: 1h", "after: 10m")).with_version(2)
    story = closed()
    story.tell(cmd.TakeNote(uuid4(), "jo", "later"), CLOSED + timedelta(days=1))
    outcome = replayed(story, earlier)
    assert outcome.now.case is not None
    assert not outcome.now.case.surveyed
