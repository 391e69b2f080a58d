"""The survey after closing: who is asked, when, how, and who is not. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from services.notifier.effects import plan
from services.notifier.models import Delivery, Head
from services.notifier.staleness import staleness
from services.router import commands as cmd
from services.router import surveying
from services.router.firing import next_fire
from services.router.policy import Policy
from shared import events as ev
from shared.events import Identity
from tests.builders import NOON, Story, after, mail, message, uuid
from tests.surveyed import (
    CLOSED,
    DUE,
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


def test_asked_once_an_hour_after_closing() -> None:
    story = closed()
    assert next_fire(story.case, POLICY, CLOSED) == DUE
    assert pass_time(story, DUE - timedelta(seconds=1)) == []
    question, sent = pass_time(story)
    assert isinstance(question, ev.ReplyRequested)
    assert (question.human, question.answers, question.purpose) == (False, 0, "survey")
    assert question.text.startswith("How well did we help you?\n\n")
    assert "from 1 to 5" in question.text
    assert (question.channel, question.account, question.template) == (
        "whatsapp", "desk-whatsapp", "",
    )  # fmt: skip
    assert question.recipient == Identity(scheme="e164", value="+31612345678")
    assert question.subject == "How did we do?"
    assert question.reply_window_closes_at == NOON + timedelta(hours=24)
    assert sent == ev.SurveySent(
        message_id=question.message_id, channel="whatsapp", expires_at=DUE + timedelta(days=7),
        account="desk-whatsapp", scale=(1, 5),
    )  # fmt: skip
    assert story.case.state == "closed"
    assert next_fire(story.case, POLICY, DUE) is None
    assert pass_time(story, DUE + timedelta(hours=1)) == []


def test_it_opens_starts_and_answers_nothing() -> None:
    story = closed()
    before = story.case
    pass_time(story)
    question = surveyed(story).message_id
    happened = story.tell(cmd.ReportDelivery(question, "sent", DUE, provider_id="w"), DUE)
    assert names(happened) == ["ReplySent", "DeliveryStatusChanged"]
    story.tell(cmd.ReportDelivery(question, "read", DUE), DUE)
    case = story.case
    assert (case.state, case.deadlines, case.unanswered, case.pending) == (
        "closed",
        before.deadlines,
        (),
        (),
    )
    assert (case.answered, case.answered_at, case.active_at) == (
        before.answered, before.answered_at, before.active_at,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("language", "words"),
    [("nl-BE", "Antwoord met een cijfer van 1 tot en met 5"), ("de", "STOPP"), ("fr", "Répondez")],
)
def test_the_scale_is_told_in_their_language(language: str, words: str) -> None:
    story = closed(message(language=language))
    assert words in only(pass_time(story), ev.ReplyRequested).text


def test_the_policys_own_words_are_sent_as_they_are() -> None:
    own = "{nl: {subject: Eén vraag, text: '{question} {low} of {high}? STOP'}}"
    policy = Policy.parse(f"{TEXT}templates: {{survey: {own}}}\n").with_version(1)
    question = only(pass_time(closed(message(language="nl"), policy)), ev.ReplyRequested)
    assert question.subject == "Eén vraag"
    assert question.text == "How well did we help you? 1 of 5? STOP"


def test_a_mail_says_nothing_of_the_matter_and_stays_in_the_thread() -> None:
    story = closed(mail("My order 12 is lost", subject="Order 12", reference="<a@b>"))
    question = only(pass_time(story), ev.ReplyRequested)
    assert "12" not in question.subject + question.text
    assert question.references == ("<a@b>",)


@pytest.mark.parametrize(
    ("asking", "reason"),
    [
        (cmd.Asking(opted_out=True), "opted_out"),
        (cmd.Asking(bouncing=True), "bouncing"),
        (cmd.Asking(asked_at=DUE - timedelta(days=29)), "rest"),
        (cmd.Asking(senders=frozenset(("another",))), "channel"),
    ],
)
def test_who_is_not_asked(asking: cmd.Asking, reason: str) -> None:
    story = closed()
    assert pass_time(story, asking=asking) == [ev.SurveySkipped(reason=reason)]
    assert story.case.surveyed
    assert next_fire(story.case, POLICY, DUE) is None


def test_after_the_rest_they_are_asked_again() -> None:
    rested = cmd.Asking(asked_at=DUE - timedelta(days=30))
    assert only(pass_time(closed(), asking=rested), ev.SurveySent)


def test_outside_the_window_only_by_a_template() -> None:
    late = message(at=NOON - timedelta(hours=23))
    assert pass_time(closed(late)) == [ev.SurveySkipped(reason="window")]
    with_template = cmd.Asking(templates=frozenset(("desk-whatsapp",)))
    assert (
        only(pass_time(closed(late), asking=with_template), ev.ReplyRequested).template == "survey"
    )
    assert only(pass_time(closed(), asking=with_template), ev.ReplyRequested).template == ""


def test_the_channel_must_be_one_of_the_policys_and_theirs() -> None:
    chat = message(channel="webchat", account="chat", reply_window_closes_at=None)
    assert pass_time(closed(chat)) == [ev.SurveySkipped(reason="channel")]
    switchboard = message(
        sender=ev.Sender(
            identities=(Identity(scheme="e164", value="+31880000001"),), authentication="asserted"
        ),
        shared_sender=True,
    )
    assert pass_time(closed(switchboard)) == [ev.SurveySkipped(reason="channel")]


def test_who_called_last_is_asked_where_they_wrote() -> None:
    story = Story(POLICY)
    story.hear(mail())
    story.hear(message(channel="phone", account="desk-phone", kind="call_missed",
                       reply_window_closes_at=None))  # fmt: skip
    story.tell(cmd.Reply(uuid4(), "jo", "", story.case.version, outcome="reached"), NOON)
    assert story.case.channel == "phone"
    story.tell(cmd.Close("jo"), CLOSED)
    assert only(pass_time(story), ev.ReplyRequested).channel == "email"
    called = message(channel="phone", account="desk-phone", kind="call_missed",
                     reply_window_closes_at=None)  # fmt: skip
    assert pass_time(closed(called)) == [ev.SurveySkipped(reason="channel")]


def test_the_portal_asks_by_mail() -> None:
    story = closed(mail(channel="portal", account="service-portal"))
    question = only(pass_time(story), ev.ReplyRequested)
    assert (question.channel, question.account) == ("email", "support-mail")


def test_colleagues_teams_and_leftovers_are_no_customers() -> None:
    colleague = closed(message(channel="internal", account="desk", reply_window_closes_at=None))
    child = closed(opening=cmd.Opening(by="jo", parent_id=uuid(9)))
    thumb = Story(POLICY)
    thumb.hear(message("👍", kind="reaction"))
    thumb.tell(cmd.Close("jo"), CLOSED)
    leftover = Story(POLICY)
    leftover.hear(message())
    leftover.tell(cmd.Close("jo", "its messages went away", empty=True), CLOSED)
    for story in (colleague, child, thumb, leftover, closed(by="regie")):
        assert story.case.state == "closed"
        assert next_fire(story.case, POLICY, CLOSED) is None
        assert pass_time(story) == []


def test_without_a_survey_nobody_is_asked() -> None:
    without = Policy.parse(TEXT.partition("survey:\n")[0]).with_version(1)
    story = closed(policy=without)
    assert next_fire(story.case, without, CLOSED) is None
    assert pass_time(story) == []
    assert surveying.reach(without, NOON) == without.reopens_since(NOON)


def test_a_reopened_case_is_asked_about_when_it_closes_again_and_only_once() -> None:
    story = closed()
    story.tell(cmd.Reopen("jo"), CLOSED + timedelta(minutes=30))
    assert none(pass_time(story), ev.SurveySent, ev.SurveySkipped)
    again = DUE + timedelta(hours=5)
    story.tell(cmd.Close("jo"), again)
    assert none(pass_time(story, again + timedelta(minutes=59)), ev.SurveySent)
    assert only(pass_time(story, again + timedelta(minutes=60)), ev.SurveySent)
    story.tell(cmd.Reopen("jo"), again + timedelta(hours=2))
    story.tell(cmd.Close("jo"), again + timedelta(hours=3))
    assert pass_time(story, again + timedelta(hours=4)) == []


@pytest.mark.parametrize("watermark", [None, DUE - timedelta(seconds=1)])
def test_not_while_what_they_wrote_may_be_unread(watermark: datetime | None) -> None:
    story = closed()
    assert pass_time(story, watermark=watermark) == []
    assert next_fire(story.case, POLICY, DUE) == DUE, "looked at again"
    assert only(pass_time(story, DUE + timedelta(minutes=5)), ev.SurveySent)


def test_not_before_the_last_answer_has_left_nor_without_having_looked() -> None:
    story = Story(POLICY)
    story.hear(message())
    reply = cmd.Reply(uuid4(), "jo", "Done.", story.case.version)
    story.tell(reply, after(minutes=10))
    story.tell(cmd.Close("jo"), CLOSED)
    assert pass_time(story) == []
    story.tell(cmd.ReportDelivery(reply.message_id, "sent", DUE), DUE)
    assert pass_time(story, asking=None) == []
    assert only(pass_time(story), ev.SurveySent)


def test_days_later_it_is_too_late_to_ask() -> None:
    assert only(pass_time(closed(mail()), DUE + timedelta(days=1)), ev.SurveySent)
    late = pass_time(closed(mail()), DUE + timedelta(days=1, seconds=1))
    assert late == [ev.SurveySkipped(reason="late")]


def test_a_failed_question_is_told_and_nothing_else() -> None:
    story = asked()
    before = story.case
    question = surveyed(story).message_id
    happened = story.tell(cmd.ReportDelivery(question, "failed", DUE, code="131026"), DUE)
    assert names(happened) == ["ReplyFailed", "SurveySkipped", "DeliveryStatusChanged"]
    assert only(happened, ev.SurveySkipped).reason == "failed"
    assert (story.case.state, story.case.survey) == ("closed", None)
    assert story.case.deadlines == before.deadlines
    assert none(story.hear(message("4", DUE + timedelta(minutes=5))), ev.SurveyAnswered)


def test_whoever_answered_was_asked_whatever_the_provider_says_later() -> None:
    story = asked()
    question = surveyed(story).message_id
    story.hear(message("4", DUE + timedelta(minutes=5)))
    late = story.tell(cmd.ReportDelivery(question, "failed", DUE), DUE + timedelta(minutes=6))
    assert none(late, ev.SurveySkipped)


def test_a_question_whose_case_was_opened_again_does_not_leave() -> None:
    story = closed()
    pass_time(story)
    change = next(c for c in story.history if isinstance(c.event, ev.ReplyRequested)
                  and c.event.purpose == "survey")  # fmt: skip
    (planned,) = plan("e", change)
    payload = {"purpose": "survey"}
    for purpose, state, stale in (
        ("survey", "closed", False), ("survey", "open", True), ("answer", "open", False),
    ):  # fmt: skip
        payload["purpose"] = purpose
        delivery = Delivery(
            id=planned.id, case_id=story.id, effect=planned.effect, target=planned.target,
            payload=payload, version=planned.version, at=planned.at, attempts=0,
            attempts_before=0, expires_at=planned.expires_at, head=Head(99, state, None),
        )  # fmt: skip
        assert (staleness(delivery, DUE) is not None) is stale
